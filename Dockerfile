# The version is that of rust-toolchain.toml. On Alpine a release is one static file: protos are compiled without
# protoc, TLS is rustls, and ring and the bundled SQLite need no more than a C compiler.
FROM rust:1.95.0-alpine AS build
# hadolint ignore=DL3018
RUN apk add --no-cache ca-certificates musl-dev
WORKDIR /src
COPY . .
# Features to build with: --build-arg FEATURES=dkim makes an image that can sign mails.
ARG FEATURES=""
# Only downloads are cached from build to build: a cached target folder could put a stale binary into a release.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked --bin vestibule --features "$FEATURES"

# Nothing but the program and the certificate authorities that it trusts a mail server or a database by.
FROM scratch
LABEL org.opencontainers.image.title="vestibule" \
      org.opencontainers.image.description="Holds the people who have registered and not yet proved that an email address is theirs" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/vestibule /vestibule
# A number, so that Kubernetes can tell that it isn't root.
USER 65532:65532
# The default settings serve this machine alone, which in a container means nobody:
# set VESTIBULE__GRPC__LISTEN and VESTIBULE__ACCESS__ANONYMOUS, or give a file with --config.
EXPOSE 50051
# Asks the address that the environment or the defaults name. Kubernetes ignores it and has probes of its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/vestibule", "health"]
ENTRYPOINT ["/vestibule"]
CMD ["serve"]
