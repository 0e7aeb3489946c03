//! One request as the rules see it: what the caller wrote into table and input, with its parameters.

use crate::batch::{Table, header};
use crate::body::Params;
use crate::intern::Interner;
use crate::options::{Content, Endpoint, Options};
use crate::record::item::Text;

/// What stands in the header's numbers and in the input, apart from parameters.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    /// Which endpoint was asked.
    pub endpoint: Endpoint,
    /// How the body is understood.
    pub content: Content,
    /// Rejected records come again.
    pub replayed: bool,
    /// When the request was received, in ms since 1970.
    pub received_ms: i64,
    /// Raw query string.
    pub query: &'a [u8],
    /// ASCII letters and digits.
    pub request_id: &'a [u8],
    /// The client's address: JSON string or `null`.
    pub ip_json: &'a [u8],
    /// The client's User-Agent: JSON string or `null`.
    pub ua_json: &'a [u8],
    /// JSON string or `null`.
    pub project_id_json: &'a [u8],
    /// The token that the credential stands for, empty for none.
    pub auth_token: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes the input apart. What a connection's requests share comes first: it can stay where it is.
    pub fn read(table: &Table, input: &'a [u8]) -> Self {
        let mut rest = input;
        let mut take = |index: usize| {
            let (part, behind) = rest.split_at(table.length(index));
            rest = behind;
            part
        };
        Self {
            endpoint: Endpoint::from_int(table.get(header::ENDPOINT)),
            content: Content::from_int(table.get(header::CONTENT)),
            replayed: table.get(header::SWITCHES) & 1 != 0,
            received_ms: table.received_ms() as i64,
            ip_json: take(header::IP_JSON_LENGTH),
            ua_json: take(header::UA_JSON_LENGTH),
            project_id_json: take(header::PROJECT_ID_JSON_LENGTH),
            auth_token: take(header::AUTH_TOKEN_LENGTH),
            request_id: take(header::REQUEST_ID_LENGTH),
            query: take(header::QUERY_LENGTH),
        }
    }
}

/// Everything that stays the same for the records of one request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What the caller wrote.
    pub envelope: Envelope<'a>,
    /// What query and form say.
    pub params: Params,
    /// The rules of `strict=1` hold.
    pub strict: bool,
    /// What is fixed for the decoder's life.
    pub options: &'a Options,
    /// Tokens known so far.
    pub tokens: &'a Interner,
}

impl<'a> Request<'a> {
    /// The token that the request's credential stands for.
    pub fn auth_token(&self) -> Option<Text<'a>> {
        let bytes = self.envelope.auth_token;
        (!bytes.is_empty()).then_some(Text { bytes, is_plain: false })
    }

    /// Tokens are listed, and this one is not.
    pub fn is_unknown(&self, token: Text) -> bool {
        self.options.tokens_allowed.is_some() && self.tokens.allowed(token.bytes).is_none()
    }
}
