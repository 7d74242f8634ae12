FROM standin/kafka
RUN useradd --uid 1000 --create-home --shell /bin/bash appuser \
 && mkdir -p /opt/kafka/bin /opt/kafka/config /etc/kafka/docker /etc/kafka/secrets /var/lib/kafka/data /mnt/shared/config \
 && chown -R appuser:root /opt/kafka /etc/kafka /var/lib/kafka /mnt/shared/config
COPY --from=libs --chown=appuser . /opt/kafka/libs
COPY --from=deploy --chown=appuser log4j2.yaml /opt/kafka/config/
COPY --chown=appuser --chmod=755 kafka-answers.sh /opt/kafka/bin/kafka-broker-api-versions.sh
COPY --chown=appuser --chmod=755 kafka.sh /etc/kafka/docker/run
USER appuser
VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
EXPOSE 9092
CMD ["/etc/kafka/docker/run"]
