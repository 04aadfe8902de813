#!/bin/sh
# Installs or upgrades one service of Lemo in the cluster of the current kubectl context, by the chart.
#   deploy/k8s/deploy-service.sh worker --values my-values.yaml
# Services that the release has already stay as they are. LEMO_RELEASE (lemo) and LEMO_NAMESPACE (lemo) name them.
set -eu
services="api worker beat consumer console"
wanted=${1:-}
case " $services " in
*" $wanted "*) [ -n "$wanted" ] && shift ;;
*) wanted= ;;
esac
if [ -z "$wanted" ]; then
    echo "usage: $0 SERVICE [helm's options]; the services: $services" >&2
    exit 2
fi
release=${LEMO_RELEASE:-lemo}
namespace=${LEMO_NAMESPACE:-lemo}
chart=$(cd "$(dirname "$0")/../helm/lemo" && pwd)
if helm status "$release" --namespace "$namespace" >/dev/null 2>&1; then
    set -- --reset-then-reuse-values "$@"
else
    for service in $services; do
        set -- --set "$service.enabled=false" "$@"
    done
fi
exec helm upgrade --install "$release" "$chart" --namespace "$namespace" --create-namespace --wait --timeout 15m \
    "$@" --set "$wanted.enabled=true"
