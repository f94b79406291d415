"""The behavior suite: capabilities of a sentiment model, each tested by a few dozen short texts.

Source: M. T. Ribeiro, T. Wu, C. Guestrin, S. Singh, Beyond Accuracy: Behavioral Testing of NLP
Models with CheckList, ACL 2020. The templates in ``suite.toml`` were written for this project.
"""
