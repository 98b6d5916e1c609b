//! Mail by SMTP, against a local server that records what it receives.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::shop::{Shop, confirmed};
use crate::api::DeliveryStatus;
use crate::{MailTransport, SmtpSecurity, SmtpSettings};

/// A mail server that records every line it receives.
#[derive(Clone)]
struct Sink {
    received: Arc<Mutex<Vec<String>>>,
    /// The response to `RCPT`.
    recipient_answer: &'static str,
    security: SmtpSecurity,
    acceptor: TlsAcceptor,
}

impl Sink {
    /// Starts a server on a free port. Returns it with the settings to reach it.
    async fn open(security: SmtpSecurity, recipient_answer: &'static str) -> (Self, SmtpSettings) {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sink = Self { received: Arc::default(), recipient_answer, security, acceptor };
        let server = sink.clone();
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server.clone().serve(stream).await;
            }
        });
        let settings = SmtpSettings {
            host: "localhost".to_owned(),
            port,
            security,
            user: String::new(),
            password: String::new(),
            extra_roots: key.cert.pem().into_bytes(),
        };
        (sink, settings)
    }

    async fn serve(self, stream: tokio::net::TcpStream) {
        if self.security == SmtpSecurity::Implicit {
            if let Ok(stream) = self.acceptor.accept(stream).await {
                self.talk(stream, true).await;
            }
            return;
        }
        if let Some(stream) = self.talk(stream, true).await
            && let Ok(stream) = self.acceptor.accept(stream).await
        {
            self.talk(stream, false).await;
        }
    }

    /// Speaks SMTP until the client disconnects. Returns the stream if the client requests TLS.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, greets: bool) -> Option<S> {
        let mut stream = BufReader::new(stream);
        if greets {
            stream.write_all(b"220 sink ready\r\n").await.ok()?;
        }
        let (mut line, mut in_data) = (String::new(), false);
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let command = line.trim_end().to_owned();
            let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            self.received.lock().push(command.clone());
            let answer = match verb.as_str() {
                _ if in_data && command == "." => {
                    in_data = false;
                    "250 2.0.0 kept\r\n"
                }
                _ if in_data => continue,
                "EHLO" if self.security == SmtpSecurity::Starttls && greets => "250-sink\r\n250 STARTTLS\r\n",
                "EHLO" => "250 sink\r\n",
                "STARTTLS" => "220 go on\r\n",
                "RCPT" => self.recipient_answer,
                "DATA" => {
                    in_data = true;
                    "354 go on\r\n"
                }
                "QUIT" => "221 bye\r\n",
                _ => "250 ok\r\n",
            };
            stream.write_all(answer.as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
            if verb == "STARTTLS" {
                return Some(stream.into_inner());
            }
        }
    }

    fn received(&self) -> String {
        self.received.lock().join("\n")
    }
}

#[allow(clippy::disallowed_methods, reason = "the server ends with the test's runtime")]
fn spawn(server: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(server);
}

async fn deliver(settings: SmtpSettings) -> Shop {
    let shop = Shop::with(tempfile::tempdir().unwrap(), MailTransport::Smtp(settings));
    shop.publish(1, confirmed(1)).await;
    shop.service.send_due(&shop.cx()).await.unwrap();
    shop.verify();
    shop
}

#[tokio::test]
async fn mail_is_submitted_with_every_kind_of_security() {
    for security in [SmtpSecurity::None, SmtpSecurity::Starttls, SmtpSecurity::Implicit] {
        let (sink, settings) = Sink::open(security, "250 ok\r\n").await;
        let shop = deliver(settings).await;
        let sent = shop.deliveries().await.remove(0);
        assert_eq!(sent.status, DeliveryStatus::Sent, "{security:?} {:?}", sent.attempts);
        assert!(sent.attempts[0].detail.starts_with("250"), "{:?}", sent.attempts);
        let received = sink.received();
        for part in ["MAIL FROM:<shop@example.com>", "RCPT TO:<ada@example.com>", "Subject: Your order N-1"] {
            assert!(received.contains(part), "{security:?}: {part} in {received}");
        }
        assert_eq!(received.contains("STARTTLS"), security == SmtpSecurity::Starttls);
    }
}

#[tokio::test]
async fn a_permanent_refusal_ends_the_delivery_and_a_temporary_one_is_retried() {
    for (answer, status) in [
        ("550 5.1.1 <ada@example.com> no such user\r\n", DeliveryStatus::Dead),
        ("451 4.3.0 later please\r\n", DeliveryStatus::Failed),
    ] {
        let (_, settings) = Sink::open(SmtpSecurity::None, answer).await;
        let shop = deliver(settings).await;
        let delivery = shop.deliveries().await.remove(0);
        assert_eq!((delivery.status, delivery.attempts.len()), (status, 1), "{:?}", delivery.attempts);
        assert!(!delivery.attempts[0].detail.contains("ada@"), "no address is stored");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_an_untrusted_or_unencrypted_server() {
    for security in [SmtpSecurity::Starttls, SmtpSecurity::Implicit] {
        let (sink, settings) = Sink::open(security, "250 ok\r\n").await;
        let shop = deliver(SmtpSettings { extra_roots: Vec::new(), ..settings }).await;
        assert_eq!(shop.deliveries().await[0].status, DeliveryStatus::Failed);
        assert!(!sink.received().contains("MAIL FROM"), "{security:?}");
    }
    let (sink, settings) = Sink::open(SmtpSecurity::None, "250 ok\r\n").await;
    let shop = deliver(SmtpSettings { security: SmtpSecurity::Starttls, ..settings }).await;
    assert_eq!(shop.deliveries().await[0].status, DeliveryStatus::Failed, "the connection is not downgraded");
    assert!(!sink.received().contains("MAIL FROM"));
}
