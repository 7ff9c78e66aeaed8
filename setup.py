"""Include the project's files in the wheel, so that suites run outside a clone; pyproject.toml has everything else."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FILES = ("CITATION.cff", "LICENSE", "Snakefile", "docs/study-plan.md", "environment.yml", "requirements.lock")
# Recorded runs stay in the repository: they are ten times as large as everything else.
FOLDERS = ("config", "notebooks", "profiles/default", "published/encoders", "published/subsets", "workflow")


class BuildWithProject(build_py):
    """Copies the project's files into the package, where `layout.project_folder` looks for them."""

    def run(self) -> None:
        """Copy the package, and into it the project's files unless the install is editable."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "steadytune", "_project")
        shutil.rmtree(target, ignore_errors=True)
        for folder in FOLDERS:
            shutil.copytree(folder, target / folder)
        for file in (*FILES, *map(str, Path("published").glob("*.*"))):
            (target / file).parent.mkdir(exist_ok=True)
            shutil.copy2(file, target / file)


setup(cmdclass={"build_py": BuildWithProject})
