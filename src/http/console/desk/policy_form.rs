//! A policy as a form and back. What the form does not show stays as it is.

use super::super::form::Form;
use crate::domain::{RetentionPolicy, SitePolicy};

/// The fields of the form, as texts: what was typed stays when it was wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PolicyForm {
    pub display_name: String,
    pub hold_one_in: String,
    pub reject_one_in: String,
    /// Not part of the policy: what a budget is to be fitted to.
    pub review_minutes: String,
    pub hold_threshold: String,
    pub reject_threshold: String,
    pub hold_link_count: String,
    pub hold_abuse_one_in: String,
    pub close_after_days: String,
    pub hold_first_time_author: bool,
    pub hold_all: bool,
    pub author_required: bool,
    pub email_required: bool,
    pub whole_words: bool,
    pub hold_words: String,
    pub reject_words: String,
    pub blocklist_hosts: String,
    pub allowlist_hosts: String,
    pub languages: String,
    pub comment_days: String,
    pub audit_days: String,
    pub delivery_days: String,
    pub keep_labelled: bool,
}

impl PolicyForm {
    /// A policy as the form shows it.
    pub fn of_policy(display_name: &str, policy: &SitePolicy) -> Self {
        let optional = |value: Option<u32>| value.map(|n| n.to_string()).unwrap_or_default();
        let threshold = |value: Option<f64>| value.map(|n| n.to_string()).unwrap_or_default();
        let lines = |values: &mut dyn Iterator<Item = &String>| {
            values.map(String::as_str).collect::<Vec<_>>().join("\n")
        };
        Self {
            display_name: display_name.to_owned(),
            hold_one_in: policy.budget.hold_one_in.to_string(),
            reject_one_in: policy.budget.reject_one_in.to_string(),
            review_minutes: String::new(),
            hold_threshold: threshold(policy.hold_threshold),
            reject_threshold: threshold(policy.reject_threshold),
            hold_link_count: optional(policy.hold_link_count),
            hold_abuse_one_in: optional(policy.hold_abuse_one_in),
            close_after_days: optional(policy.close_after_days),
            hold_first_time_author: policy.hold_first_time_author,
            hold_all: policy.hold_all,
            author_required: policy.required.author,
            email_required: policy.required.email,
            whole_words: policy.words.whole_words,
            hold_words: lines(&mut policy.words.hold.iter()),
            reject_words: lines(&mut policy.words.reject.iter()),
            blocklist_hosts: lines(&mut policy.host_blocklist.iter()),
            allowlist_hosts: lines(&mut policy.host_allowlist.iter()),
            languages: lines(&mut policy.languages.iter()).replace('\n', " "),
            comment_days: days(policy.retention.comment_days),
            audit_days: days(policy.retention.audit_days),
            delivery_days: days(policy.retention.delivery_days),
            keep_labelled: policy.retention.keep_labelled,
        }
    }

    /// What was sent.
    pub fn of_form(form: &Form) -> Self {
        let text = |name: &str| form.get(name).trim().replace("\r\n", "\n");
        let ticked = |name: &str| !form.get(name).is_empty();
        Self {
            display_name: text("display_name"),
            hold_one_in: text("hold_one_in"),
            reject_one_in: text("reject_one_in"),
            review_minutes: text("review_minutes"),
            hold_threshold: text("hold_threshold"),
            reject_threshold: text("reject_threshold"),
            hold_link_count: text("hold_link_count"),
            hold_abuse_one_in: text("hold_abuse_one_in"),
            close_after_days: text("close_after_days"),
            hold_first_time_author: ticked("hold_first_time_author"),
            hold_all: ticked("hold_all"),
            author_required: ticked("author_required"),
            email_required: ticked("email_required"),
            whole_words: ticked("whole_words"),
            hold_words: text("hold_words"),
            reject_words: text("reject_words"),
            blocklist_hosts: text("blocklist_hosts"),
            allowlist_hosts: text("allowlist_hosts"),
            languages: text("languages"),
            comment_days: text("comment_days"),
            audit_days: text("audit_days"),
            delivery_days: text("delivery_days"),
            keep_labelled: ticked("keep_labelled"),
        }
    }

    /// The policy that the form means, over the one that stands.
    ///
    /// # Errors
    /// Sentences about each field that is no number.
    pub fn policy(&self, standing: &SitePolicy) -> Result<SitePolicy, Vec<String>> {
        let mut problems = Vec::new();
        let mut policy = standing.clone();
        let mut count = |name: &str, text: &str| -> Option<u32> {
            let parsed = text.parse().ok();
            if parsed.is_none() && !text.is_empty() {
                problems.push(format!("{name}: a whole number is expected."));
            }
            parsed
        };
        let hold_one_in = count("Hold one in", &self.hold_one_in);
        let reject_one_in = count("Reject one in", &self.reject_one_in);
        policy.hold_link_count = count("Links", &self.hold_link_count);
        policy.hold_abuse_one_in = count("Abuse", &self.hold_abuse_one_in);
        policy.close_after_days = count("Days", &self.close_after_days);
        policy.retention = RetentionPolicy {
            comment_days: count("Days of comments", &self.comment_days).unwrap_or_default(),
            keep_labelled: self.keep_labelled,
            audit_days: count("Days of the audit log", &self.audit_days).unwrap_or_default(),
            delivery_days: count("Days of deliveries", &self.delivery_days).unwrap_or_default(),
        };
        for (name, value, place) in [
            ("Hold one in", hold_one_in, &mut policy.budget.hold_one_in),
            ("Reject one in", reject_one_in, &mut policy.budget.reject_one_in),
        ] {
            match value {
                Some(value) => *place = value,
                None => problems.push(format!("{name}: it is required.")),
            }
        }
        for (name, text, place) in [
            ("Hold from", &self.hold_threshold, &mut policy.hold_threshold),
            ("Reject from", &self.reject_threshold, &mut policy.reject_threshold),
        ] {
            *place = text.parse().ok();
            if place.is_none() && !text.is_empty() {
                problems.push(format!("{name}: a number from 0 to 1 is expected."));
            }
        }
        policy.hold_first_time_author = self.hold_first_time_author;
        policy.hold_all = self.hold_all;
        policy.required.author = self.author_required;
        policy.required.email = self.email_required;
        policy.words.whole_words = self.whole_words;
        policy.words.hold = lines(&self.hold_words).collect();
        policy.words.reject = lines(&self.reject_words).collect();
        policy.host_blocklist = lines(&self.blocklist_hosts).collect();
        policy.host_allowlist = lines(&self.allowlist_hosts).collect();
        let languages = self.languages.split([' ', ',', '\n']).filter(|text| !text.is_empty());
        policy.languages = languages.map(str::to_owned).collect();
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }
}

/// Days as the form shows them: nothing for ever.
fn days(days: u32) -> String {
    if days == 0 { String::new() } else { days.to_string() }
}

fn lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back_from_its_form() {
        let mut policy = SitePolicy::default();
        policy.words.hold = vec!["casino".into(), "cheap watches".into()];
        policy.hold_link_count = Some(2);
        policy.hold_threshold = Some(0.25);
        policy.languages = ["de".into(), "en".into()].into();
        policy.elapsed_ms_min = 77;
        policy.retention.comment_days = 90;
        policy.retention.keep_labelled = true;
        let form = PolicyForm::of_policy("Blog", &policy);
        assert_eq!(form.hold_words, "casino\ncheap watches");
        assert_eq!(form.policy(&policy), Ok(policy.clone()));
        let other = PolicyForm { hold_one_in: "ten".into(), hold_threshold: "x".into(), ..form };
        assert_eq!(other.policy(&policy).unwrap_err().len(), 3);
    }
}
