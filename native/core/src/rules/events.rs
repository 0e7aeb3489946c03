//! `/track`, and `/import` without strict.

use super::{Fate, Fault, Judge, Rule, check};
use crate::json::slot;
use crate::json::value::Kind;
use crate::problem::Problem;
use crate::record::envelope::flag;
use crate::record::item::Text;

impl<'a> Judge<'a> {
    pub(super) fn track(&mut self) -> Result<Fate, Fault> {
        self.outline()?;
        let token = self.item.full_string(slot::TOKEN);
        self.rule(token.is_some(), Problem::TokenMissing, slot::TOKEN)?;
        self.known_token(token)?;
        self.alias()?;
        let moment = self.moment();
        let is_dropped = moment.flags & flag::LATE != 0 && self.request.options.drop_late;
        Ok(if self.asks_to_ignore() || is_dropped { Fate::Ignored } else { Fate::Accepted(moment) })
    }

    pub(super) fn lenient_import(&mut self) -> Result<Fate, Fault> {
        let found = self.item.found;
        check(!found.is_empty, || Fault::new(Problem::DataMissing, found.start))?;
        self.outline()?;
        let token = self.import_token();
        self.known_token(token)?;
        self.alias()?;
        Ok(if self.asks_to_ignore() { Fate::Ignored } else { Fate::Accepted(self.moment()) })
    }

    /// The token of the properties, else the credential's.
    pub(super) fn import_token(&self) -> Option<Text<'a>> {
        self.item.full_string(slot::TOKEN).or_else(|| self.request.auth_token())
    }

    /// 23 to 26
    fn outline(&self) -> Rule {
        let (event, properties) = (self.value(slot::EVENT), self.value(slot::PROPERTIES));
        self.rule(event.kind != Kind::Absent, Problem::EventMissing, slot::EVENT)?;
        self.rule(event.is_text_or_number(), Problem::EventInvalid, slot::EVENT)?;
        self.rule(properties.kind != Kind::Absent, Problem::PropertiesMissing, slot::PROPERTIES)?;
        self.rule(properties.kind == Kind::Object, Problem::PropertiesInvalid, slot::PROPERTIES)
    }

    /// 29
    fn alias(&self) -> Rule {
        let is_alias = self.item.is_string(slot::EVENT, b"$create_alias");
        let has_id = self.value(slot::DISTINCT_ID).is_text_or_scalar();
        self.rule(!is_alias || has_id, Problem::DistinctIdMissing, slot::DISTINCT_ID)
    }

    fn asks_to_ignore(&self) -> bool {
        let value = self.value(slot::IGNORE);
        value.kind == Kind::True || value.is_text()
    }
}
