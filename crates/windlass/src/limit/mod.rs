//! Limits: who may go on, how many at once, how fast, and in which order. `docs/limits.md` explains them.
//!
//! `lane`: what a job asks for. `target`, `rule`: what a rule is for and what it says. Rules are heeded by the script
//! that takes jobs (`lua/ruled.lua`); a job that they hold up waits at the store.

#[cfg(doctest)]
#[doc = include_str!("../../../../docs/limits.md")]
struct Page;

mod lane;
mod rule;
mod target;

use crate::client::Client;
use crate::error::Result;

pub use lane::{GROUP_KEY_LEN_MAX, Lane, PRIORITY_DEFAULT};
pub use rule::{Breaker, Form, Order, PERIOD_MAX, Rate, Rule};
pub use target::Target;

/// Sets and shows the rules of one namespace. What is set holds for all workers from the answer on, for jobs that wait
/// already, too.
///
/// ```no_run
/// # use std::time::Duration;
/// use windlass::{Order, Rate, Rule, Target};
/// # async fn example(client: windlass::Client) -> windlass::Result<()> {
/// let limits = client.limits();
/// limits.set(&Target::kind("resize"), Rule::new().cap(4)).await?;
/// limits.set(&Target::each_key("mail"), Rule::new().rate(Rate::bucket(10, Duration::from_secs(1)))).await?;
/// limits.set(&Target::key("mail", "acme"), Rule::new().weight(3.0).order(Order::Wait)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Limits {
    client: Client,
}

impl Limits {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Sets a rule, in place of the one that was there. A kind that is [paused](Self::pause_kind) stays so until it is
    /// [resumed](Self::resume_kind). Answers whether there was a rule.
    ///
    /// Queues with rules do not [ask for kinds](crate::Inspector::ask_for_kinds), and a rule of a kind is one of every queue:
    /// [`QueueInfo`](crate::QueueInfo) tells which queues ask and are ruled.
    ///
    /// # Errors
    /// When the rule or a name cannot be used, with every problem at once, or the store fails.
    pub async fn set(&self, target: &Target, rule: Rule) -> Result<bool> {
        target.check()?;
        rule.check(target)?;
        let had = self.client.broker().set_rule(&target.to_string(), &serde_json::to_string(&rule)?).await?;
        self.client.forget_rules();
        Ok(had)
    }

    /// Removes a rule. Answers whether there was one.
    ///
    /// # Errors
    /// When a name cannot be used, or the store fails.
    pub async fn remove(&self, target: &Target) -> Result<bool> {
        target.check()?;
        self.client.broker().set_rule(&target.to_string(), "").await
    }

    /// The rule of a target; `None` when it has none of its own.
    ///
    /// # Errors
    /// When a name cannot be used, or the store fails.
    pub async fn get(&self, target: &Target) -> Result<Option<Rule>> {
        target.check()?;
        let rule = self.client.broker().rule(&target.to_string()).await?;
        Ok(rule.map(|rule| serde_json::from_str(&rule)).transpose()?)
    }

    /// Every rule, by the text of its target.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<(Target, Rule)>> {
        let (mut rules, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let (page, next) = self.client.broker().rules(&cursor).await?;
            for (name, rule) in page {
                // The counters beside the rules have other names.
                if let (Ok(target), Ok(rule)) = (name.parse(), serde_json::from_str(&rule)) {
                    rules.push((target, rule));
                }
            }
            if next == "0" {
                rules.sort_by(|(a, _): &(Target, Rule), (b, _)| a.cmp(b));
                rules.dedup_by(|(a, _), (b, _)| a == b);
                return Ok(rules);
            }
            cursor = next;
        }
    }

    /// Takes no more jobs of a kind: once this has answered none begins that was not taken before. The rest of its rule
    /// stays.
    ///
    /// # Errors
    /// When the name is not a kind's, or the store fails.
    pub async fn pause_kind(&self, kind: &str) -> Result<()> {
        let target = Target::kind(kind);
        target.check()?;
        self.client.broker().set_rule(&target.to_string(), "pause").await.map(drop)
    }

    /// Lets a paused kind go on.
    ///
    /// # Errors
    /// When the name is not a kind's, or the store fails.
    pub async fn resume_kind(&self, kind: &str) -> Result<()> {
        let target = Target::kind(kind);
        target.check()?;
        self.client.broker().set_rule(&target.to_string(), "resume").await.map(drop)
    }
}
