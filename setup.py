"""Finds the packages: the product as it lies here, the model as ``mmif_amin.bundle``. All else is in setup.cfg."""

from setuptools import find_namespace_packages, find_packages, setup

model = find_namespace_packages(".", include=["bundle", "bundle.*"], exclude=["*.__pycache__"])
setup(
    packages=[*find_packages(".", include=["mmif_amin", "mmif_amin.*"]), *(f"mmif_amin.{name}" for name in model)],
    package_dir={"mmif_amin": "mmif_amin", "mmif_amin.bundle": "bundle"},
)
