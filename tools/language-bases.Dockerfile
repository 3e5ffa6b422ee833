# Stands in for images of Docker Hub where tests can't reach it: the same programs from Debian's packages, under the
# names and at the paths that the examples expect. The context is made by language-bases.ts: this machine's certificates,
# its Node.js and npm.
FROM debian AS base
ENV DEBIAN_FRONTEND=noninteractive
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update -q && apt-get install -yq --no-install-recommends ca-certificates
COPY ca-certificates.crt /etc/ssl/certs/

FROM base AS node
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    apt-get update -q && apt-get install -yq --no-install-recommends libstdc++6 libatomic1
COPY --chmod=755 node /usr/local/bin/
ADD npm.tgz /usr/local/lib/node_modules/
RUN <<END
set -e
mv /usr/local/lib/node_modules/package /usr/local/lib/node_modules/npm
ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
groupadd --gid 1000 node
useradd --uid 1000 --gid node --shell /bin/bash --create-home node
END
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
CMD ["node"]

FROM base AS python
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/apt,sharing=locked <<END
set -e
apt-get update -q
apt-get install -yq --no-install-recommends python3 python3-pip python3-venv python3-setuptools-whl python3-wheel-whl
ln -s python3 /usr/bin/python
rm /usr/lib/python3.*/EXTERNALLY-MANAGED
END
# The build backends of pyproject.toml come from Debian's wheels.
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/usr/share/python-wheels
CMD ["python3"]

FROM base AS golang
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    apt-get update -q && apt-get install -yq --no-install-recommends golang-go
ENV GOPATH=/go PATH=/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /go

FROM base AS nginx
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/apt,sharing=locked <<END
set -e
apt-get update -q
apt-get install -yq --no-install-recommends nginx-light
useradd --system --no-create-home --shell /usr/sbin/nologin nginx
sed -i 's/^user .*/user nginx;/' /etc/nginx/nginx.conf
rm -r /etc/nginx/sites-enabled/default /var/www/html
ln -sf /dev/stdout /var/log/nginx/access.log
ln -sf /dev/stderr /var/log/nginx/error.log
END
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]

FROM base AS php
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    apt-get update -q && apt-get install -yq --no-install-recommends php-cli php-mbstring
CMD ["php", "-a"]

FROM php AS composer
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    apt-get update -q && apt-get install -yq --no-install-recommends composer unzip
ENV COMPOSER_ALLOW_SUPERUSER=1
WORKDIR /app
CMD ["composer"]
