//! A tool that rules decide about, with what a decision needs of it.

use std::net::IpAddr;
use std::sync::OnceLock;

use cedar_policy::{
    Context, EntityUid, PolicySet, Request, RestrictedExpression as Expression, Schema,
};
use chrono_tz::Tz;

use super::moment::Moment;
use super::name::Kinds;
use super::shape::Fields;
use super::{Action, Question, Session};

/// A tool that rules decide about.
#[derive(Debug)]
pub(super) struct Governed {
    pub action: Action,
    pub fields: Fields,
    action_uid: EntityUid,
    plugin_uid: EntityUid,
    /// The rules that can concern it. Cedar looks at each rule of a set; most concern other tools.
    pub slice: OnceLock<PolicySet>,
}

impl Governed {
    pub(super) fn new(kinds: &Kinds, action: Action) -> Self {
        Self {
            fields: Fields::of(&action.input_schema),
            action_uid: kinds.action(&action.name),
            plugin_uid: kinds.plugin(&action.plugin),
            slice: OnceLock::new(),
            action,
        }
    }

    /// The question as Cedar is asked it.
    ///
    /// # Errors
    /// A sentence that says what of the question has no form in rules. It names arguments, and never has their values.
    pub(super) fn request(
        &self,
        question: &Question<'_>,
        agent: EntityUid,
        zone: Tz,
        schema: &Schema,
    ) -> Result<Request, String> {
        let input = self
            .fields
            .input(question.arguments)
            .map_err(|unfit| format!("argument {unfit}"))?;
        let mut pairs = vec![
            ("input".to_owned(), input.declared),
            ("session".to_owned(), session(question.session, zone)?),
        ];
        if let Some(undeclared) = input.undeclared {
            pairs.push(("undeclared".to_owned(), Expression::new_string(undeclared)));
        }
        // What Cedar says of either has the values of arguments in it.
        let context = Context::from_pairs(pairs)
            .map_err(|_| "the arguments have no form in rules".to_owned())?;
        let (action, plugin) = (self.action_uid.clone(), self.plugin_uid.clone());
        Request::new(agent, action, plugin, context, Some(schema))
            .map_err(|_| "the arguments are not of the types that the tool declares".to_owned())
    }
}

fn session(session: &Session, zone: Tz) -> Result<Expression, String> {
    let moment = Moment::of(session.now, zone).ok_or("the time is on no calendar")?;
    let mut fields = vec![
        (
            "via",
            Expression::new_string(session.via.as_str().to_owned()),
        ),
        (
            "transport",
            Expression::new_string(session.transport.to_owned()),
        ),
        ("now", Expression::new_datetime(session.now.to_string())),
        ("weekday", Expression::new_long(moment.weekday)),
        ("minute_of_day", Expression::new_long(moment.minute_of_day)),
        ("dry_run", Expression::new_bool(session.dry_run)),
    ];
    if let Some(address) = session
        .address
        .map(|address: IpAddr| address.to_canonical())
    {
        fields.push(("address", Expression::new_ip(address.to_string())));
    }
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Expression::new_record(fields).map_err(|_| "the session has no form in rules".to_owned())
}
