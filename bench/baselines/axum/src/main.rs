//! The collector that drops what it made: nothing stands behind its answer.
use std::hint::black_box;

use bench_axum::{Event, Sink, serve};

#[derive(Clone)]
struct Dropped;

impl Sink for Dropped {
    async fn take(&self, _events: &[Event], records: Vec<String>) -> bool {
        black_box(records);
        true
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    serve(Dropped).await
}
