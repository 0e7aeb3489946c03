#!/usr/bin/env bash
# With a container engine: the image `sluicegate:local` serves, keeps an event over a restart, and publishes it to Kafka
# once that is there. Ends with an error, or removes all it has made.
set -euo pipefail
cd "$(dirname "$0")"

alone=(docker compose -f compose.yaml)
kafka=("${alone[@]}" -f compose.kafka.yaml)
event='{"event":"Smoke","properties":{"token":"t0k","distinct_id":"u1"}}'

accepted() {
  local reply
  reply=$(curl -sS --retry 10 --retry-all-errors -d "$event" http://127.0.0.1:8080/track)
  [ "$reply" = 1 ] || { echo "answered $reply" >&2; exit 1; }
}
stored() {
  local count
  count=$("${alone[@]}" exec -T sluicegate sluicegate tail | grep -c Smoke)
  [ "$count" = "$1" ] || { echo "$count events are in the log instead of $1" >&2; exit 1; }
}

# --wait: until the image's own HEALTHCHECK is content.
"${alone[@]}" up --detach --no-build --wait
accepted
stored 1
[ "$("${alone[@]}" exec -T sluicegate id -u)" = 1000 ]
if "${alone[@]}" exec -T sluicegate touch /app/x 2>/dev/null; then echo 'the root is writable' >&2; exit 1; fi
"${alone[@]}" exec -T sluicegate sluicegate doctor

"${alone[@]}" restart
accepted
stored 2

# Returns when the topics are made and the server is started anew.
"${kafka[@]}" up --detach --no-build
published=$("${kafka[@]}" exec -T kafka /opt/kafka/bin/kafka-console-consumer.sh --bootstrap-server localhost:9092 \
  --topic sluicegate.track --from-beginning --max-messages 2 --timeout-ms 60000)
[ "$(grep -c Smoke <<<"$published")" = 2 ] || { echo "published: $published" >&2; exit 1; }

"${kafka[@]}" down --volumes
