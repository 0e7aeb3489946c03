//! A collector as people write it in Rust today: axum, serde_json, one thread for one core. It decodes a request, checks
//! its events, makes the bytes of a record of each, and hands them to its sink.
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const BODY_BYTES_MAX: usize = 10_485_760;

/// What every collector of events looks at; the rest is kept as it is.
#[derive(Deserialize, Serialize)]
pub struct Event {
    event: String,
    properties: Map<String, Value>,
}

impl Event {
    fn text(&self, name: &str) -> &str {
        self.properties.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn is_good(&self) -> bool {
        !self.event.is_empty() && !self.text("token").is_empty()
    }

    /// Events of one visitor stay in order.
    pub fn key(&self) -> String {
        format!("{}:{}", self.text("token"), self.text("distinct_id"))
    }
}

/// What becomes of the events of a request.
pub trait Sink: Clone + Send + Sync + 'static {
    /// `records`: the bytes of each event's. False: they were not taken.
    fn take(&self, events: &[Event], records: Vec<String>) -> impl Future<Output = bool> + Send;
}

fn payload_of<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if content_type.starts_with("application/json") {
        return Some(Cow::Borrowed(body));
    }
    let (_, data) = form_urlencoded::parse(body).find(|(name, _)| name == "data")?;
    STANDARD.decode(data.as_bytes()).ok().map(Cow::Owned)
}

fn events_of(headers: &HeaderMap, body: &[u8]) -> Option<Vec<Event>> {
    let payload = payload_of(headers, body)?;
    // One event or several: an untagged enum would be slower than a look at the first byte.
    match payload.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'[' => serde_json::from_slice(&payload).ok(),
        _ => serde_json::from_slice(&payload).ok().map(|event| vec![event]),
    }
}

/// What a queue would be handed.
#[derive(Serialize)]
struct Record<'a> {
    received_ms: u64,
    ip: &'a str,
    ua: &'a str,
    record: &'a Event,
}

fn records_of(headers: &HeaderMap, peer: SocketAddr, events: &[Event]) -> Vec<String> {
    let ip = peer.ip().to_string();
    let agent = headers.get(header::USER_AGENT);
    let ua = agent.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let received_ms = since.map_or(0, |time| time.as_millis() as u64);
    let bytes = |record| serde_json::to_string(&Record { received_ms, ip: &ip, ua, record });
    events.iter().filter_map(|event| bytes(event).ok()).collect()
}

async fn track<S: Sink>(
    State(sink): State<S>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let events = events_of(&headers, &body).unwrap_or_default();
    let good = !events.is_empty() && events.iter().all(Event::is_good);
    let taken = good && sink.take(&events, records_of(&headers, peer, &events)).await;
    ([(header::CONTENT_TYPE, "text/plain")], if taken { "1" } else { "0" }).into_response()
}

pub async fn serve<S: Sink>(sink: S) -> std::io::Result<()> {
    let app = Router::new()
        .route("/track", post(track::<S>))
        .route("/track/", post(track::<S>))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(sink);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("ready {}", listener.local_addr()?.port());
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await
}
