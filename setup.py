"""Says the one thing that pyproject.toml can not: the folder deploy/ is installed as the package `tsrep_deploy`.

Everything else stands in pyproject.toml. (There a folder can be given another name only beside a written list of all
packages, which the next new room would be missing from.)
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["tsrep", "tsrep.*"]), "tsrep_deploy"], package_dir={"tsrep_deploy": "deploy"})
