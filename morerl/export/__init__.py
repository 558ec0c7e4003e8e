"""A trained model as a folder to serve, to share and to ask: weights merged, guideline, settings and a model card."""

from morerl.export.write import export_model

__all__ = ["export_model"]
