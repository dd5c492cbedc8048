"""Finds the packages: the product as it lies here, the model as ``mmif_amin.bundle``. All else is in setup.cfg."""

from setuptools import find_namespace_packages, setup

# What a bundle consists of; the output of a run that lies beside it stays out of the wheel.
PARTS = ["configs", "docs", "models", "sample_data", "scripts", "scripts.*"]

setup(
    packages=find_namespace_packages(include=["mmif_amin", "mmif_amin.*"], exclude=["*.__pycache__"])
    + [
        f"mmif_amin.{name}"
        for name in find_namespace_packages(
            include=["bundle", *(f"bundle.{part}" for part in PARTS)], exclude=["*.__pycache__"]
        )
    ],
    package_dir={"mmif_amin": "mmif_amin", "mmif_amin.bundle": "bundle"},
)
