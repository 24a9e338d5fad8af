//! A connection: with or without TLS, counted against the process's limit for as long as it lives,
//! and closed when nothing is asked on it.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tonic::transport::server::Connected;

use super::activity::Activity;
use crate::tls::{Certificates, TlsStream};

/// How long a connection may say nothing at first. Every client sends its preface or request line
/// at once.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept on which no call ever began: clients that connect early come
/// again with their first call, and who sends headers byte by byte gets no further.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection with its permit, which is given back when the connection is dropped.
pub struct Connection {
    stream: Stream,
    _permit: OwnedSemaphorePermit,
    peer: Peer,
    idle_timeout: Duration,
    begin: Instant,
    heard: bool,
    /// When it is looked again whether the connection is idle.
    timer: Pin<Box<Sleep>>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Who is at the other end, and what is under way there; in the extensions of each request.
#[derive(Clone)]
pub struct Peer {
    /// The address that the connection comes from: a proxy's, if there is one.
    pub(super) ip: IpAddr,
    pub(super) activity: Arc<Activity>,
}

impl Connection {
    /// The connection, holding `permit`, after the handshake if there are `certificates`. Without
    /// a call it is closed after `idle_timeout`. Inside a tokio runtime.
    ///
    /// # Errors
    /// Those of the handshake.
    pub async fn accept(
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        certificates: Option<&Certificates>,
        idle_timeout: Duration,
    ) -> io::Result<Self> {
        let ip = stream.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip());
        let stream = match certificates {
            None => Stream::Plain(stream),
            Some(certificates) => Stream::Tls(Box::new(certificates.accept(stream).await?)),
        };
        let begin = Instant::now();
        Ok(Self {
            stream,
            _permit: permit,
            peer: Peer { ip, activity: Arc::new(Activity::new(begin)) },
            idle_timeout,
            begin,
            heard: false,
            timer: Box::pin(tokio::time::sleep(FIRST_BYTES_TIMEOUT.min(idle_timeout))),
        })
    }

    /// Whether the connection has been idle for too long. If not, `ctx` is woken when it may be.
    fn is_idle(&mut self, ctx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(ctx).is_ready() {
            let now = Instant::now();
            let end = if self.peer.activity.is_busy() {
                now + self.idle_timeout
            } else if let Some(last) = self.peer.activity.last_end() {
                last + self.idle_timeout
            } else {
                let patience = if self.heard { FIRST_CALL_TIMEOUT } else { FIRST_BYTES_TIMEOUT };
                self.begin + patience.min(self.idle_timeout)
            };
            if end <= now {
                return true;
            }
            self.timer.as_mut().reset(end);
        }
        false
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl Stream {
    fn poll_read(
        &mut self,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(ctx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(ctx, buffer),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Plain(stream) => Pin::new(stream as &mut (dyn AsyncWrite + Unpin)),
            Self::Tls(stream) => Pin::new(stream.as_mut() as &mut (dyn AsyncWrite + Unpin)),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream.poll_read(ctx, buffer);
        self.heard |= buffer.filled().len() > before;
        if read.is_pending() && self.is_idle(ctx) {
            // As if the client had hung up: what is still to be written is written, then it ends.
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.writer().poll_write(ctx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.writer().poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.writer().poll_shutdown(ctx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.writer().poll_write_vectored(ctx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
