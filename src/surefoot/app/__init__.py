"""The only place where adapters meet the engine: settings in, a working Surefoot out."""

from surefoot.app.application import App, Inside, build, parquet_file
from surefoot.app.improvers import outside_improvers
from surefoot.app.schemas import misfit
from surefoot.app.sites import coding_agent, git_version

__all__ = ["App", "Inside", "build", "coding_agent", "git_version", "misfit", "outside_improvers", "parquet_file"]
