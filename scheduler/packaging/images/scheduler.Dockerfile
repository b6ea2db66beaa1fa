# The image of schedulers: the binary, and nothing that it does not need.
#
# The context is a folder with `capstan` in it (`cargo build --profile dist`: target/dist). The base has a C
# library as old as the builder's or newer, and ca-certificates; see ../README.md.
#
#   docker build --build-arg BASE=… -t capstan-scheduler -f scheduler/packaging/images/scheduler.Dockerfile target/dist
ARG BASE
FROM ${BASE}

LABEL org.opencontainers.image.title="capstan scheduler" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY capstan /usr/local/bin/capstan

# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Mount something writable here and at /tmp; all else may be read-only.
WORKDIR /var/lib/capstan
ENV HOME=/var/lib/capstan CAPSTAN__LOCAL__DATA_DIR=/var/lib/capstan CAPSTAN__LOG__FORMAT=json
EXPOSE 8084
ENTRYPOINT ["/usr/local/bin/capstan"]
CMD ["scheduler"]
