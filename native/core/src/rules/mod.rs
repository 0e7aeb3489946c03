//! The rules that decide whether a record is accepted (docs/DECODING.md 4).

mod events;
mod profiles;
mod shape;
mod strict;

use crate::json::slot;
use crate::json::value::{Kind, Value};
use crate::options::Endpoint;
use crate::problem::Problem;
use crate::record::envelope::Moment;
use crate::record::item::{Item, Text};
use crate::request::Request;

/// What is wrong with a record, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub problem: Problem,
    /// Index of the byte at fault in the payload.
    pub offset: usize,
    /// Start and end of the raw name of the member at fault.
    pub member: Option<(usize, usize)>,
}

impl Fault {
    /// Without a member.
    pub fn new(problem: Problem, offset: usize) -> Self {
        Self { problem, offset, member: None }
    }
}

/// A rule holds, or not.
type Rule = Result<(), Fault>;

/// What becomes of a record that breaks no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept.
    Accepted(Moment),
    /// Nothing is kept of it.
    Ignored,
}

/// What the rules make of one record.
pub struct Judge<'a> {
    item: &'a Item<'a>,
    request: &'a Request<'a>,
    /// The record's token, once the rules have read it and found it valid.
    pub token: Option<Text<'a>>,
}

impl<'a> Judge<'a> {
    /// Nothing is judged yet.
    pub fn new(item: &'a Item<'a>, request: &'a Request<'a>) -> Self {
        Self { item, request, token: None }
    }

    /// Applies the endpoint's rules; the first that does not hold counts.
    pub fn judge(&mut self) -> Result<Fate, Fault> {
        let endpoint = self.request.envelope.endpoint;
        if endpoint == Endpoint::Import && self.request.strict {
            self.strict_import()?;
            self.depth()?;
            self.size()?;
            return Ok(Fate::Accepted(self.moment()));
        }
        self.size()?;
        self.depth()?;
        match endpoint {
            Endpoint::Track => self.track(),
            Endpoint::Import => self.lenient_import(),
            Endpoint::Engage | Endpoint::Groups => self.profile(),
        }
    }

    fn size(&self) -> Rule {
        let is_large = self.item.raw().len() > self.request.options.record_bytes_max;
        check(!is_large, || Fault::new(Problem::RecordTooLarge, self.item.found.start))
    }

    fn depth(&self) -> Rule {
        let at = self.item.notes.too_deep_at;
        check(at == 0, || Fault::new(Problem::RecordTooDeep, at))
    }

    fn moment(&self) -> Moment {
        crate::record::envelope::moment(self.item, self.request)
    }

    fn value(&self, slot: usize) -> Value {
        self.item.value(slot)
    }

    /// A fault at a member, or at the object that it is missing from.
    fn fault(&self, problem: Problem, slot: usize) -> Fault {
        let value = self.value(slot);
        let has_events = self.request.envelope.endpoint.has_events();
        let offset = if value.kind != Kind::Absent {
            value.start as usize
        } else if slot < slot::PROPERTIES_END && has_events {
            self.value(slot::PROPERTIES).start as usize
        } else {
            self.item.found.start
        };
        Fault::new(problem, offset)
    }

    /// A rule about one member.
    fn rule(&self, holds: bool, problem: Problem, slot: usize) -> Rule {
        check(holds, || self.fault(problem, slot))
    }

    /// 28, then the token counts as read.
    fn known_token(&mut self, token: Option<Text<'a>>) -> Rule {
        if let Some(text) = token
            && self.request.is_unknown(text)
        {
            return Err(self.fault(Problem::TokenUnknown, slot::TOKEN));
        }
        self.token = token;
        Ok(())
    }
}

fn check(holds: bool, fault: impl FnOnce() -> Fault) -> Rule {
    if holds { Ok(()) } else { Err(fault()) }
}
