"""The Prefect flows: `score`, `train` and `evaluate`.

The wheel carries their files here. In a checkout they stand in the folder ``flows`` beside the
package, where Prefect's deployments expect them.
"""

from pathlib import Path

if not Path(__file__).with_name("score.py").exists():
    __path__.append(str(Path(__file__).resolve().parents[2] / "flows"))
