# The version is that of rust-toolchain.toml. Beside Rust, the slim image has the C compiler that ring and
# the bundled SQLite are built with; nothing else is needed: protos are compiled without protoc, TLS is rustls.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# Only downloads are cached from build to build: a cached target folder could put a stale binary into a release.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked --bin vestibule

# glibc, libgcc and the certificate authorities, as old as the builder's; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="vestibule" \
      org.opencontainers.image.description="Holds the people who have registered and not yet proved that an email address is theirs" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
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
