"""The model that ships, and any other, as files that engines read.

`find(name_or_path, quant)` gives a GGUF file; the rest is how it came about. Nothing here needs torch but `training`.
"""

from workbench.models.convert import Converted
from workbench.models.manage import GrowReport, Listed, convert_to_file, grow_to_folder, list_models
from workbench.models.shipped import ModelFile, find, shipped_folder

__all__ = [
    "Converted", "GrowReport", "Listed", "ModelFile", "convert_to_file", "find", "grow_to_folder", "list_models",
    "shipped_folder",
]
