# Builds promox and installs its binary on a slim Debian, where it runs as a user that owns only the data.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake g++ make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
# The commit, which /actuator/info shows.
ARG PROMOX_COMMIT
COPY . .
RUN cargo build --profile dist --locked --package promox --bin promox

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin promox \
    && install --directory --owner=promox --group=promox --mode=0700 /data
COPY --from=build /source/target/dist/promox /usr/local/bin/promox
USER promox
ENV PROMOX_DATA__DIR=/data PROMOX_SERVER__LISTEN=0.0.0.0:8080
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["promox", "health"]
ENTRYPOINT ["promox"]
CMD ["serve"]
