//! The collector that answers once Kafka has acknowledged: `bench-axum-kafka BROKER TOPIC`. Each event is a `send` of
//! rdkafka's with acks=all and idempotence; librdkafka puts those of all requests into batches, in threads of its own.
use std::env;

use bench_axum::{Event, Sink, serve};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

#[derive(Clone)]
struct Topic {
    producer: FutureProducer,
    name: String,
}

impl Sink for Topic {
    async fn take(&self, events: &[Event], records: Vec<String>) -> bool {
        let queued = events.iter().zip(&records).map(|(event, record)| {
            let key = event.key();
            let message = FutureRecord::to(&self.name).key(&key).payload(record);
            self.producer.send_result(message).ok()
        });
        let Some(deliveries) = queued.collect::<Option<Vec<_>>>() else { return false };
        for delivery in deliveries {
            if !matches!(delivery.await, Ok(Ok(_))) {
                return false;
            }
        }
        true
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let [_, broker, name] = &env::args().collect::<Vec<_>>()[..] else {
        return Err(std::io::Error::other("usage: bench-axum-kafka BROKER TOPIC"));
    };
    let producer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .create()
        .map_err(std::io::Error::other)?;
    serve(Topic { producer, name: name.clone() }).await
}
