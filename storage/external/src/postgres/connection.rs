//! A connection to a PostgreSQL server. Statements are prepared once, and sent in pipelines that end with one `Sync`.
//!
//! Calls block, so connections live on threads of the engine's own.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, DataRowBody, ErrorFields, Message};
use postgres_protocol::message::frontend;
use postgres_protocol::{IsNull, Oid};

use super::options::PostgresOptions;
use super::stream::Stream;

/// The bytes of requests after which a pipeline reads what was answered so far. Both sides would block if each only
/// sent.
const MAX_UNANSWERED: usize = 48 << 10;
/// How much longer than the server's own limit a connection waits for a statement.
const MARGIN: Duration = Duration::from_secs(5);

/// A parameter of a query.
pub(super) struct Param {
    pub(super) oid: Oid,
    /// 1 for the binary format, 0 for text.
    pub(super) format: i16,
    pub(super) value: Option<Vec<u8>>,
}

/// A statement with its parameters.
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) params: Vec<Param>,
    /// The formats of the columns of its result.
    pub(super) results: Vec<i16>,
}

impl Query {
    /// A statement without parameters whose result, if any, is text.
    pub(super) fn plain(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), params: Vec::new(), results: Vec::new() }
    }
}

/// The result of a statement.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<DataRowBody>,
    /// The number of rows that it returned or changed.
    pub(super) affected: u64,
}

/// An error that the server reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    /// The SQLSTATE.
    pub(super) code: String,
    pub(super) message: String,
    pub(super) detail: Option<String>,
    /// Whether the server has ended the session with it.
    pub(super) is_fatal: bool,
}

/// Why a pipeline failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused a statement. No transaction is open, and nothing of one was committed.
    Refused(ServerError),
    /// The connection is lost. If a commit was under way, its outcome is unknown.
    Lost(io::Error),
}

impl ServerError {
    /// The failure of a statement. An error that ends the session may come after the commit.
    fn into_failure(self) -> Failure {
        if self.is_fatal { Failure::Lost(io::Error::other(self.message)) } else { Failure::Refused(self) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(ServerError { code, message, detail: Some(detail), .. }) => {
                write!(f, "{message} ({code}): {detail}")
            }
            Self::Refused(ServerError { code, message, detail: None, .. }) => write!(f, "{message} ({code})"),
            Self::Lost(error) => write!(f, "the connection to PostgreSQL failed: {error}"),
        }
    }
}

/// A query whose answer is awaited, with its statement if that is being prepared.
struct Pending {
    preparing: Option<String>,
    answer: Answer,
}

/// A connection to one database.
pub(super) struct Connection {
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    /// The numbers of prepared statements, by their text.
    statements: HashMap<String, usize>,
    next_statement: usize,
    /// The server's process of this connection.
    pub(super) process: i32,
    /// Whether a transaction was open after the last `Sync`.
    in_transaction: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection of process {}", self.process)
    }
}

impl Connection {
    /// Connects to a database with these settings of the session.
    pub(super) fn open(
        options: &PostgresOptions,
        database: &str,
        settings: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let stream = Stream::connect(options, timeout.saturating_add(MARGIN))?;
        let (input, output) = (BytesMut::with_capacity(8 << 10), BytesMut::with_capacity(8 << 10));
        let mut connection = Self {
            stream,
            input,
            output,
            statements: HashMap::new(),
            next_statement: 0,
            process: 0,
            in_transaction: false,
        };
        let timeout = timeout.as_millis().to_string();
        let mut parameters = vec![
            ("user", options.user.as_str()),
            ("database", database),
            ("client_encoding", "UTF8"),
            ("application_name", "promox"),
            ("statement_timeout", timeout.as_str()),
            // The commits of other programs are listed by triggers.
            ("promox.own_session", "on"),
        ];
        parameters.extend_from_slice(settings);
        frontend::startup_message(parameters, &mut connection.output)?;
        connection.send()?;
        connection.authenticate(options)?;
        connection.wait_until_ready()?;
        Ok(connection)
    }

    fn authenticate(&mut self, options: &PostgresOptions) -> Result<(), Failure> {
        let password = || options.password.as_deref().ok_or_else(|| io::Error::other("the server asks for a password"));
        loop {
            match self.receive()? {
                Message::AuthenticationOk => return Ok(()),
                Message::AuthenticationCleartextPassword => {
                    frontend::password_message(password()?.as_bytes(), &mut self.output)?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(options.user.as_bytes(), password()?.as_bytes(), body.salt());
                    frontend::password_message(hash.as_bytes(), &mut self.output)?;
                }
                Message::AuthenticationSasl(body) => self.authenticate_with_scram(password()?, &body)?,
                Message::ErrorResponse(body) => return Err(Failure::Refused(server_error(body.fields())?)),
                _ => return Err(unexpected("authentication")),
            }
            self.send()?;
        }
    }

    fn authenticate_with_scram(&mut self, password: &str, body: &AuthenticationSaslBody) -> Result<(), Failure> {
        use fallible_iterator::FallibleIterator as _;
        let mut mechanisms = body.mechanisms();
        if !mechanisms.any(|mechanism| Ok(mechanism == SCRAM_SHA_256))? {
            return Err(io::Error::other("the server offers no authentication that promox knows").into());
        }
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut self.output)?;
        self.send()?;
        match self.receive()? {
            Message::AuthenticationSaslContinue(body) => scram.update(body.data())?,
            Message::ErrorResponse(body) => return Err(Failure::Refused(server_error(body.fields())?)),
            _ => return Err(unexpected("authentication")),
        }
        frontend::sasl_response(scram.message(), &mut self.output)?;
        self.send()?;
        match self.receive()? {
            Message::AuthenticationSaslFinal(body) => scram.finish(body.data())?,
            Message::ErrorResponse(body) => return Err(Failure::Refused(server_error(body.fields())?)),
            _ => return Err(unexpected("authentication")),
        }
        Ok(())
    }

    /// Runs queries in one pipeline. Without `begin` among them they are one transaction. After an error that the
    /// server reports, the transaction is rolled back and the connection can be used again.
    pub(super) fn run(&mut self, queries: &[Query]) -> Result<Vec<Answer>, Failure> {
        let (mut pending, mut answers) = (VecDeque::with_capacity(queries.len()), Vec::with_capacity(queries.len()));
        let mut refused = None;
        for query in queries {
            pending.push_back(Pending { preparing: self.write_query(query)?, answer: Answer::default() });
            if self.output.len() > MAX_UNANSWERED {
                frontend::flush(&mut self.output);
                self.send()?;
                refused = self.read_answers(&mut pending, &mut answers)?;
                if refused.is_some() {
                    break;
                }
            }
        }
        frontend::sync(&mut self.output);
        self.send()?;
        if refused.is_none() {
            refused = self.read_answers(&mut pending, &mut answers)?;
        }
        match (self.wait_until_ready(), &refused) {
            (Ok(()), _) => {}
            (Err(Failure::Refused(error)), None) => return Err(error.into_failure()),
            (Err(failure), _) => return Err(failure),
        }
        let Some(error) = refused else { return Ok(answers) };
        // What was not prepared yet never will be.
        for preparing in pending.into_iter().filter_map(|pending| pending.preparing) {
            self.statements.remove(&preparing);
        }
        self.roll_back()?;
        Err(error.into_failure())
    }

    /// Ends the open transaction, if there is one.
    pub(super) fn roll_back(&mut self) -> Result<(), Failure> {
        if self.in_transaction { self.run(&[Query::plain("rollback")]).map(drop) } else { Ok(()) }
    }

    /// Runs one query.
    pub(super) fn run_one(&mut self, query: Query) -> Result<Answer, Failure> {
        Ok(self.run(&[query])?.pop().unwrap_or_default())
    }

    /// Runs a script of statements without parameters, whose results are dropped.
    pub(super) fn script(&mut self, sql: &str) -> Result<(), Failure> {
        frontend::query(sql, &mut self.output)?;
        self.send()?;
        let mut refused = None;
        loop {
            match self.receive()? {
                Message::ReadyForQuery(body) => {
                    self.in_transaction = body.status() != b'I';
                    break;
                }
                Message::ErrorResponse(body) => refused = Some(server_error(body.fields())?),
                _ => {}
            }
        }
        match refused {
            None => Ok(()),
            Some(error) => Err(Failure::Refused(error)),
        }
    }

    /// Begins a `COPY` from this client.
    pub(super) fn begin_copy(&mut self, sql: &str) -> Result<(), Failure> {
        frontend::query(sql, &mut self.output)?;
        self.send()?;
        match self.receive()? {
            Message::CopyInResponse(_) => Ok(()),
            Message::ErrorResponse(body) => {
                let error = server_error(body.fields())?;
                self.wait_until_ready()?;
                Err(Failure::Refused(error))
            }
            _ => Err(unexpected("a copy")),
        }
    }

    /// Sends a part of a `COPY`.
    pub(super) fn send_copy(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        frontend::CopyData::new(bytes)?.write(&mut self.output);
        Ok(self.send()?)
    }

    /// Ends a `COPY`. Returns the number of rows.
    pub(super) fn finish_copy(&mut self) -> Result<u64, Failure> {
        frontend::copy_done(&mut self.output);
        self.send()?;
        let copied = match self.receive()? {
            Message::CommandComplete(body) => Ok(affected(body.tag()?)),
            Message::ErrorResponse(body) => Err(Failure::Refused(server_error(body.fields())?)),
            _ => return Err(unexpected("a copy")),
        };
        self.wait_until_ready()?;
        copied
    }

    /// Writes the messages of a query. Returns its text if it has to be prepared.
    fn write_query(&mut self, query: &Query) -> io::Result<Option<String>> {
        let (number, preparing) = if let Some(number) = self.statements.get(&query.sql) {
            (*number, None)
        } else {
            let number = self.next_statement;
            self.next_statement += 1;
            let types = query.params.iter().map(|param| param.oid);
            frontend::parse(&format!("s{number}"), &query.sql, types, &mut self.output)?;
            self.statements.insert(query.sql.clone(), number);
            (number, Some(query.sql.clone()))
        };
        let put = |param: &Param, out: &mut BytesMut| match &param.value {
            Some(value) => {
                out.extend_from_slice(value);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        };
        let formats = query.params.iter().map(|param| param.format);
        let (name, results) = (format!("s{number}"), query.results.iter().copied());
        frontend::bind("", &name, formats, &query.params, put, results, &mut self.output).map_err(
            |error| match error {
                frontend::BindError::Conversion(error) => io::Error::other(error),
                frontend::BindError::Serialization(error) => error,
            },
        )?;
        frontend::execute("", 0, &mut self.output)?;
        Ok(preparing)
    }

    /// Reads the answers of the pending queries. Returns the error of the first one that failed, if any; those after
    /// it stay pending and have no answer.
    fn read_answers(
        &mut self,
        pending: &mut VecDeque<Pending>,
        answers: &mut Vec<Answer>,
    ) -> Result<Option<ServerError>, Failure> {
        while let Some(current) = pending.front_mut() {
            match self.receive()? {
                Message::ParseComplete => current.preparing = None,
                Message::BindComplete => {}
                Message::DataRow(row) => current.answer.rows.push(row),
                Message::CommandComplete(body) => {
                    current.answer.affected = affected(body.tag()?);
                    answers.extend(pending.pop_front().map(|pending| pending.answer));
                }
                Message::ErrorResponse(body) => return Ok(Some(server_error(body.fields())?)),
                _ => return Err(unexpected("a statement")),
            }
        }
        Ok(None)
    }

    /// Reads until the server is ready for the next pipeline. The error is one of the commit, or the end of the session.
    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let mut refused = None;
        loop {
            match self.receive()? {
                Message::ReadyForQuery(body) => {
                    self.in_transaction = body.status() != b'I';
                    return refused.map_or(Ok(()), |error| Err(Failure::Refused(error)));
                }
                Message::BackendKeyData(body) => self.process = body.process_id(),
                Message::ErrorResponse(body) => {
                    let error = server_error(body.fields())?;
                    if error.is_fatal {
                        return Err(Failure::Refused(error));
                    }
                    refused = Some(error);
                }
                Message::ParameterStatus(_) => {}
                _ => return Err(unexpected("readiness")),
            }
        }
    }

    fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        self.stream.flush()
    }

    /// Receives the next message, except notices and changes of parameters.
    fn receive(&mut self) -> Result<Message, Failure> {
        loop {
            match Message::parse(&mut self.input)? {
                Some(Message::NoticeResponse(_) | Message::ParameterStatus(_)) => {}
                Some(message) => return Ok(message),
                None => self.read_more()?,
            }
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let length = self.stream.read(&mut buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.input.extend_from_slice(buffer.get(..length).unwrap_or_default());
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.output.clear();
        frontend::terminate(&mut self.output);
        let _ = self.send();
    }
}

fn unexpected(what: &str) -> Failure {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sent an unexpected message during {what}")).into()
}

/// Returns the number of rows at the end of a command tag, such as `UPDATE 3` or `INSERT 0 3`.
fn affected(tag: &str) -> u64 {
    tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn server_error(mut fields: ErrorFields<'_>) -> io::Result<ServerError> {
    use fallible_iterator::FallibleIterator as _;
    let mut error = ServerError::default();
    while let Some(field) = fields.next()? {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => error.code = value,
            b'M' => error.message = value,
            b'D' => error.detail = Some(value),
            b'V' => error.is_fatal = value != "ERROR",
            _ => {}
        }
    }
    Ok(error)
}
