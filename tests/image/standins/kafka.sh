#!/usr/bin/env bash
# KAFKA_* become properties, the folder is formatted once, the broker starts: as apache/kafka does it.
set -euf
java="java -cp /opt/kafka/libs/* -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml"
env | grep '^KAFKA_' | grep -v KAFKA_HEAP_OPTS | while IFS='=' read -r name value; do
    name=${name#KAFKA_} && name=${name,,} && echo "${name//_/.}=$value"
done > /opt/kafka/config/server.properties
$java kafka.tools.StorageTool format --ignore-formatted --cluster-id="$CLUSTER_ID" -c /opt/kafka/config/server.properties
exec $java $KAFKA_HEAP_OPTS kafka.Kafka /opt/kafka/config/server.properties
