//! The load client: a number of connections, each with one request at a time.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use crate::said::{Protocol, delays};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The server, as http://HOST:PORT.
    #[arg(long)]
    url: Uri,
    /// The protocol to speak.
    #[arg(long, value_enum, default_value = "chat")]
    protocol: Protocol,
    #[arg(long, default_value = "none")]
    key: String,
    /// Models, requested in turn.
    #[arg(long, value_delimiter = ',', required = true)]
    models: Vec<String>,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Size of the prompt, in bytes.
    #[arg(long, default_value_t = 1000)]
    prompt: usize,
    /// Percentage of requests that are streams.
    #[arg(long, default_value_t = 0)]
    streams: usize,
    /// Percentage of requests that are aborted before their response is read.
    #[arg(long, default_value_t = 0)]
    aborts: usize,
    /// Maximum number of requests per second on each connection.
    #[arg(long)]
    rate: Option<f64>,
    /// File for the ids of the requests that were answered.
    #[arg(long)]
    ids: Option<std::path::PathBuf>,
}

#[derive(Default)]
struct Seen {
    micros: Vec<u64>,
    /// Until the first piece of the body came.
    first: Vec<u64>,
    /// From the writing of a piece by the provider until it came.
    delays: Vec<u64>,
    statuses: std::collections::BTreeMap<u16, u64>,
    aborted: u64,
    broken: u64,
    ids: Option<BufWriter<File>>,
}

pub(crate) async fn run(options: Options) -> std::io::Result<()> {
    let ids = options
        .ids
        .as_ref()
        .map(File::create)
        .transpose()?
        .map(BufWriter::new);
    let seen = Arc::new(Mutex::new(Seen {
        ids,
        ..Seen::default()
    }));
    let options = Arc::new(options);
    let until = Instant::now() + Duration::from_secs_f64(options.seconds);
    let all: Vec<_> = (0..options.connections)
        .map(|n| tokio::spawn(connection(n, options.clone(), seen.clone(), until)))
        .collect();
    for one in all {
        let _ = one.await;
    }
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ids) = &mut seen.ids {
        ids.flush()?;
    }
    let [answered, first, delays] = [&seen.micros, &seen.first, &seen.delays].map(|all| {
        let mut all = all.clone();
        all.sort_unstable();
        all
    });
    println!(
        "{}",
        json!({"answered": answered.len(), "statuses": seen.statuses, "aborted": seen.aborted, "broken": seen.broken,
               "p50_us": quantile(&answered, 0.5), "p99_us": quantile(&answered, 0.99),
               "first_p50_us": quantile(&first, 0.5), "delay_p50_us": quantile(&delays, 0.5), "delay_p99_us": quantile(&delays, 0.99)})
    );
    Ok(())
}

fn quantile(sorted: &[u64], share: f64) -> u64 {
    sorted
        .get((sorted.len() as f64 * share) as usize)
        .copied()
        .unwrap_or(0)
}

async fn connection(nth: usize, options: Arc<Options>, seen: Arc<Mutex<Seen>>, until: Instant) {
    let place = (
        options.url.host().unwrap_or_default(),
        options.url.port_u16().unwrap_or(80),
    );
    let mut open: Option<http1::SendRequest<Full<Bytes>>> = None;
    // Each connection starts with a different number, so that they never all send the same request.
    let mut n = nth * 37;
    let requests: Vec<[(String, Bytes); 2]> = options
        .models
        .iter()
        .map(|m| [false, true].map(|s| request(options.protocol, m, s, options.prompt)))
        .collect();
    while Instant::now() < until {
        n += 1;
        let began = Instant::now();
        if open.as_ref().is_none_or(http1::SendRequest::is_closed) {
            let Ok(stream) = TcpStream::connect(place).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let Ok((send, connection)) = http1::handshake(TokioIo::new(stream)).await else {
                continue;
            };
            tokio::spawn(connection);
            open = Some(send);
        }
        let Some(send) = &mut open else { continue };
        let streams = n % 100 < options.streams;
        let aborts = n.wrapping_mul(7919) % 100 < options.aborts;
        let Some((path, body)) = requests
            .get(n % requests.len())
            .map(|r| r[usize::from(streams)].clone())
        else {
            continue;
        };
        let request = Request::post(path)
            .header(header::HOST, "gateway")
            .header(header::AUTHORIZATION, format!("Bearer {}", options.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body));
        let Ok(request) = request else { return };
        let (mut first, mut late, mut last) = (None, Vec::new(), 0);
        let (status, whole) = match send.send_request(request).await {
            Ok(response) => {
                let status = response.status().as_u16();
                if let Some(id) = response.headers().get("x-request-id") {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(ids) = &mut seen.ids {
                        let _ = ids
                            .write_all(id.as_bytes())
                            .and_then(|()| ids.write_all(b"\n"));
                    }
                }
                let mut body = response.into_body();
                let mut whole = !aborts;
                if aborts {
                    let _ = body.frame().await;
                    open = None;
                } else {
                    while let Some(frame) = body.frame().await {
                        let Ok(frame) = frame else {
                            (whole, open) = (false, None);
                            break;
                        };
                        first.get_or_insert_with(|| micros(began));
                        if let Some(data) = frame.data_ref().filter(|_| streams) {
                            late.extend(delays(data, &mut last));
                        }
                    }
                }
                (status, whole)
            }
            Err(_) => {
                open = None;
                (0, false)
            }
        };
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if aborts {
                seen.aborted += 1;
            } else if whole {
                *seen.statuses.entry(status).or_default() += 1;
                seen.micros.push(micros(began));
                seen.first.extend(first);
                seen.delays.extend(late);
            } else {
                seen.broken += 1;
            }
        }
        if let Some(rate) = options.rate {
            tokio::time::sleep(Duration::from_secs_f64(1.0 / rate).saturating_sub(began.elapsed()))
                .await;
        }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// The path and the body of a request.
fn request(protocol: Protocol, model: &str, streams: bool, prompt: usize) -> (String, Bytes) {
    let line = "A line of the prompt, with a \"quote\".\n";
    let content = line.repeat(prompt / line.len() + 1);
    let (path, body) = match protocol {
        Protocol::Chat => (
            "/v1/chat/completions".into(),
            json!({"model": model, "stream": streams, "messages": [{"role": "user", "content": content}]}),
        ),
        Protocol::Responses => (
            "/v1/responses".into(),
            json!({"model": model, "stream": streams, "store": false, "input": [{"role": "user", "content": content}]}),
        ),
        Protocol::Messages => (
            "/v1/messages".into(),
            json!({"model": model, "stream": streams, "max_tokens": 1000, "messages": [{"role": "user", "content": content}]}),
        ),
        Protocol::Gemini => (
            format!(
                "/v1beta/models/{model}:{}",
                if streams {
                    "streamGenerateContent?alt=sse"
                } else {
                    "generateContent"
                }
            ),
            json!({"contents": [{"role": "user", "parts": [{"text": content}]}]}),
        ),
    };
    (path, body.to_string().into())
}
