# Build: docker build -t replyguard .
# Run:   docker run --read-only -v replyguard:/data -p 127.0.0.1:50051:50051 -p 127.0.0.1:8080:8080 replyguard
# The first site's key is printed once, and stands in /data/first-site.json.
# The link that sets the first administrator's password is printed too.

FROM rust:1.95-bookworm AS builder
WORKDIR /src
COPY . .
# The downloads and the target folder outlive the build, so that the next one compiles what changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin replyguard \
    && cp target/release/replyguard /usr/local/bin/replyguard

# The same Debian as the builder's, so that the C library is the one that was linked against.
FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="replyguard" \
    org.opencontainers.image.description="Comment moderation and spam filtering for the form behind \"Leave a Reply\"" \
    org.opencontainers.image.licenses="Apache-2.0 OR MIT"

COPY --from=builder /usr/local/bin/replyguard /usr/local/bin/replyguard
# The one place that is written to. A new volume takes owner and mode from here.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /data
VOLUME /data

# Numeric, so that Kubernetes can see that it is not root.
USER 10001:10001

# Inside a container loopback reaches nobody; what is published is up to `docker run -p`.
ENV REPLYGUARD_GRPC_ADDRESS=0.0.0.0:50051 \
    REPLYGUARD_HTTP_ADDRESS=0.0.0.0:8080 \
    REPLYGUARD_DATA_DIR=/data
EXPOSE 50051 8080

HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["replyguard", "doctor", "--probe", "http://127.0.0.1:8080/readyz"]

ENTRYPOINT ["replyguard"]
CMD ["serve"]
