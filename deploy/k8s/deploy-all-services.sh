#!/bin/sh
# Installs or upgrades every service of Lemo in the cluster of the current kubectl context, by the chart.
#   deploy/k8s/deploy-all-services.sh --values my-values.yaml
# LEMO_RELEASE (lemo) and LEMO_NAMESPACE (lemo) name them; all arguments go to helm.
set -eu
chart=$(cd "$(dirname "$0")/../helm/lemo" && pwd)
exec helm upgrade --install "${LEMO_RELEASE:-lemo}" "$chart" \
    --namespace "${LEMO_NAMESPACE:-lemo}" --create-namespace --wait --timeout 15m "$@"
