# The image of sidespan: the program, the libraries it needs, and nothing else - no shell, no package
# manager. Built by docker, podman, or without root's daemons:
#
#     buildah bud --isolation chroot --format docker -t sidespan .
#
# (--format docker, for the OCI format has no health check.) It reads /etc/sidespan/routes.conf, and has
# none: mount the folder of yours there, for where only the file is mounted, one that takes its place,
# as editors and deployments write it, is never seen.

FROM debian:trixie-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc libc6-dev meson ninja-build pkgconf ca-certificates \
        libevent-dev libllhttp-dev libnghttp2-dev libssl-dev libprotobuf-c-dev protobuf-c-compiler \
        opentelemetry-proto zlib1g-dev libpcre2-dev libc-ares-dev libjansson-dev
COPY . /src
WORKDIR /src
RUN meson setup /build --buildtype=release \
    && ninja -C /build sidespan
# Everything that the final image has, under /image.
RUN set -eu; \
    mkdir -p /image/usr/bin /image/etc/sidespan /image/etc/ssl/certs /image/run/sidespan /image/tmp; \
    strip -o /image/usr/bin/sidespan /build/sidespan; \
    ldd /build/sidespan | grep -o '/[^ ]*' | sort -u | while read -r library; do \
        mkdir -p "/image$(dirname "$library")"; \
        cp -L "$library" "/image$library"; \
    done; \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    echo 'root:x:0:0:root:/:/usr/sbin/nologin' >/image/etc/passwd; \
    echo 'sidespan:x:15337:15337:sidespan:/run/sidespan:/usr/sbin/nologin' >>/image/etc/passwd; \
    echo 'root:x:0:' >/image/etc/group; \
    echo 'sidespan:x:15337:' >>/image/etc/group; \
    chown 15337:15337 /image/run/sidespan; \
    chmod 1777 /image/tmp; \
    chroot /image /usr/bin/sidespan version

FROM scratch
COPY --from=build /image /
# The rules that redirect a service's traffic leave out what this user sends.
USER 15337:15337
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s \
    CMD ["/usr/bin/sidespan", "healthcheck", "--config", "/etc/sidespan/routes.conf"]
ENTRYPOINT ["/usr/bin/sidespan"]
CMD ["--config", "/etc/sidespan/routes.conf"]
