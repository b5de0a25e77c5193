"""Every kind of iteration time that a profile file can hold; `kind` tells them apart."""

from typing import Annotated

from pydantic import Field

from workbench.profile.buckets import Bucketed
from workbench.profile.grid import Grid
from workbench.profile.kernels.model import Kernels
from workbench.profile.model import Linear, Table

IterationModel = Annotated[Linear | Table | Grid | Bucketed | Kernels, Field(discriminator="kind")]
