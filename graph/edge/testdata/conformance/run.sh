#!/bin/sh
# The public GraphQL over HTTP audit (npm package graphql-http) against our edge.
# Needs Node and npm; without a URL it starts the test server itself (needs Go).
#
#   sh graph/edge/testdata/conformance/run.sh [http://127.0.0.1:8080/graphql]
set -eu
cd "$(dirname "$0")"
npm install --no-save --no-package-lock --no-audit --no-fund --silent
exec node run.mjs "$@"
