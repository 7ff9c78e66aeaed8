# The environment of requirements.lock and the project in it. docs/clusters.md says how it is used.
FROM python:3.11-slim-bookworm

# Another index for PyTorch, such as that of its builds without CUDA.
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_CACHE_DIR=1

WORKDIR /opt/steadytune
# The lock alone first: a change of the project then installs nothing again.
COPY requirements.lock ./
RUN python -m pip install --requirement requirements.lock
# What .dockerignore lets through.
COPY . ./
RUN python -m pip install --no-deps --no-build-isolation --editable .

CMD ["snakemake", "--cores", "all"]
