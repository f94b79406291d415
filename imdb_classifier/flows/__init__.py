"""The Prefect flows: `score`, `train` and `evaluate`.

In the wheel, their files are in this folder. In a checkout, they are in ``flows/`` next to the
package, where the deployments expect them.
"""

from pathlib import Path

if not Path(__file__).with_name("score.py").exists():
    __path__.append(str(Path(__file__).resolve().parents[2] / "flows"))
