#!/usr/bin/env bash
# --bootstrap-server host:port: somebody listens there. The real one is not among the jars the tests fetch.
exec 3<> "/dev/tcp/${2%:*}/${2#*:}"
