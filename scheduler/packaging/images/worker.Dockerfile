# The image of workers: the binary, and the tools that stages run.
#
# The context is a folder with `capstan` in it, and beside it a folder `tools` with the programs that stages
# are to find: helm, kustomize, packer, docker (the client), as far as they are used. The base has a C
# library as old as the builder's or newer, and ca-certificates; see ../README.md.
#
#   docker build --build-arg BASE=… -t capstan-worker -f scheduler/packaging/images/worker.Dockerfile context
ARG BASE
FROM ${BASE}

LABEL org.opencontainers.image.title="capstan worker" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY tools/ /usr/local/bin/
COPY capstan /usr/local/bin/capstan

USER 65532:65532
# Mount something writable here and at /tmp; all else may be read-only.
WORKDIR /var/lib/capstan
ENV HOME=/var/lib/capstan \
    PATH=/usr/local/bin:/usr/bin:/bin \
    CHECKPOINT_DISABLE=1 \
    CAPSTAN__LOCAL__DATA_DIR=/var/lib/capstan \
    CAPSTAN__LOG__FORMAT=json
EXPOSE 8085
ENTRYPOINT ["/usr/local/bin/capstan"]
CMD ["worker"]
