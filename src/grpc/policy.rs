//! Sites, policies and keys between the wire and the domain.

use super::convert::{timestamp, unknown_value};
use super::proto;
use crate::domain::{
    Budget, FieldViolation, KeyScope, LimitPolicy, LimitRule, RequiredFields, RetentionPolicy,
    Site, SitePolicy, WordLists,
};
use crate::moderation::ModerationError;
use crate::moderation::ports::KeyRecord;

/// A site for the wire.
pub(super) fn site(site: Site) -> proto::Site {
    proto::Site {
        name: site.id.name(),
        display_name: site.display_name,
        policy: Some(to_wire(site.policy)),
        etag: site.revision.to_string(),
        create_time: Some(timestamp(site.create_time)),
    }
}

/// A key for the wire.
pub(super) fn key(key: KeyRecord) -> proto::Key {
    proto::Key {
        name: format!("{}/keys/{}", key.site.name(), key.id),
        display_name: key.display_name,
        scopes: key.scopes.into_iter().map(|scope| i32::from(scope_to_wire(scope))).collect(),
        create_time: Some(timestamp(key.create_time)),
        revoke_time: key.revoke_time.map(timestamp),
        last_use_time: key.use_time.map(timestamp),
    }
}

/// The scopes of a new key.
///
/// # Errors
/// `Invalid` for a scope that this version does not know.
pub(super) fn scopes(values: &[i32]) -> Result<Vec<KeyScope>, ModerationError> {
    let known = |value: &i32| match proto::KeyScope::try_from(*value) {
        Ok(proto::KeyScope::Check) => Ok(KeyScope::Check),
        Ok(proto::KeyScope::Review) => Ok(KeyScope::Review),
        Ok(proto::KeyScope::Operate) => Ok(KeyScope::Operate),
        Ok(proto::KeyScope::Administer) => Ok(KeyScope::Administer),
        Ok(proto::KeyScope::Akismet) => Ok(KeyScope::Akismet),
        Ok(proto::KeyScope::Unspecified) | Err(_) => Err(unknown_value("scopes")),
    };
    values.iter().map(known).collect()
}

fn scope_to_wire(scope: KeyScope) -> proto::KeyScope {
    match scope {
        KeyScope::Check => proto::KeyScope::Check,
        KeyScope::Review => proto::KeyScope::Review,
        KeyScope::Operate => proto::KeyScope::Operate,
        KeyScope::Administer => proto::KeyScope::Administer,
        KeyScope::Akismet => proto::KeyScope::Akismet,
    }
}

pub(super) fn to_wire(policy: SitePolicy) -> proto::SitePolicy {
    proto::SitePolicy {
        author_required: Some(policy.required.author),
        email_required: Some(policy.required.email),
        hold_one_in: Some(signed(policy.budget.hold_one_in)),
        reject_one_in: Some(signed(policy.budget.reject_one_in)),
        hold_threshold: policy.hold_threshold,
        reject_threshold: policy.reject_threshold,
        discard_threshold: Some(policy.discard_threshold),
        hold_link_count: policy.hold_link_count.map(signed),
        hold_first_time_author: Some(policy.hold_first_time_author),
        hold_all: Some(policy.hold_all),
        close_after_days: policy.close_after_days.map(signed),
        hold_abuse_one_in: policy.hold_abuse_one_in.map(signed),
        elapsed_ms_min: Some(policy.elapsed_ms_min),
        hold_words: policy.words.hold,
        reject_words: policy.words.reject,
        whole_words: Some(policy.words.whole_words),
        blocklist_hosts: policy.host_blocklist.into_iter().collect(),
        allowlist_hosts: policy.host_allowlist.into_iter().collect(),
        languages: policy.languages.into_iter().collect(),
        akismet_rechecks: Some(policy.akismet_rechecks),
        akismet_discards: Some(policy.akismet_discards),
        limits: Some(proto::Limits {
            ip: policy.limits.ip.map(rule_to_wire),
            ip_prefix: policy.limits.ip_prefix.map(rule_to_wire),
            author: policy.limits.author.map(rule_to_wire),
            page: policy.limits.page.map(rule_to_wire),
            site: policy.limits.site.map(rule_to_wire),
            identical_text: policy.limits.identical_text.map(rule_to_wire),
        }),
        comment_retention_days: Some(signed(policy.retention.comment_days)),
        keep_labelled_comments: Some(policy.retention.keep_labelled),
        audit_retention_days: Some(signed(policy.retention.audit_days)),
        delivery_retention_days: Some(signed(policy.retention.delivery_days)),
    }
}

fn signed(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn rule_to_wire(rule: LimitRule) -> proto::LimitRule {
    proto::LimitRule { burst_count: signed(rule.burst), period_ms: signed(rule.period_ms) }
}

/// A policy of the wire, with defaults where it says nothing. Counts below zero are reported;
/// everything else is [`SitePolicy::violations`]'s to judge.
///
/// # Errors
/// `Invalid` with all negative counts.
pub(super) fn from_wire(policy: Option<proto::SitePolicy>) -> Result<SitePolicy, ModerationError> {
    let Some(policy) = policy else { return Ok(SitePolicy::default()) };
    let default = SitePolicy::default();
    let mut negative = Vec::new();
    let mut count = |field: &'static str, value: i32| {
        u32::try_from(value).unwrap_or_else(|_| {
            negative.push(FieldViolation {
                field,
                reason: "negative",
                description: "A count must not be negative.".into(),
            });
            0
        })
    };
    let budget = Budget {
        hold_one_in: policy
            .hold_one_in
            .map_or(default.budget.hold_one_in, |n| count("policy.hold_one_in", n)),
        reject_one_in: policy
            .reject_one_in
            .map_or(default.budget.reject_one_in, |n| count("policy.reject_one_in", n)),
    };
    let hold_link_count = policy.hold_link_count.map(|n| count("policy.hold_link_count", n));
    let close_after_days = policy.close_after_days.map(|n| count("policy.close_after_days", n));
    let hold_abuse_one_in = policy.hold_abuse_one_in.map(|n| count("policy.hold_abuse_one_in", n));
    let mut days = |field, days: Option<i32>| days.map_or(0, |days| count(field, days));
    let retention = RetentionPolicy {
        comment_days: days("policy.comment_retention_days", policy.comment_retention_days),
        keep_labelled: policy.keep_labelled_comments.unwrap_or_default(),
        audit_days: days("policy.audit_retention_days", policy.audit_retention_days),
        delivery_days: days("policy.delivery_retention_days", policy.delivery_retention_days),
    };
    let limits =
        policy.limits.map_or(default.limits, |limits| limits_from_wire(limits, &mut count));
    if !negative.is_empty() {
        return Err(ModerationError::Invalid(negative));
    }
    Ok(SitePolicy {
        required: RequiredFields {
            author: policy.author_required.unwrap_or(default.required.author),
            email: policy.email_required.unwrap_or(default.required.email),
        },
        budget,
        hold_threshold: policy.hold_threshold,
        reject_threshold: policy.reject_threshold,
        discard_threshold: policy.discard_threshold.unwrap_or(default.discard_threshold),
        hold_link_count,
        hold_first_time_author: policy.hold_first_time_author.unwrap_or_default(),
        hold_all: policy.hold_all.unwrap_or_default(),
        hold_abuse_one_in,
        close_after_days,
        elapsed_ms_min: policy.elapsed_ms_min.unwrap_or(default.elapsed_ms_min),
        words: WordLists {
            hold: policy.hold_words,
            reject: policy.reject_words,
            whole_words: policy.whole_words.unwrap_or(default.words.whole_words),
        },
        host_blocklist: policy.blocklist_hosts.into_iter().collect(),
        host_allowlist: policy.allowlist_hosts.into_iter().collect(),
        languages: policy.languages.into_iter().collect(),
        akismet_rechecks: policy.akismet_rechecks.unwrap_or(default.akismet_rechecks),
        akismet_discards: policy.akismet_discards.unwrap_or(default.akismet_discards),
        limits,
        retention,
    })
}

fn limits_from_wire(
    limits: proto::Limits,
    count: &mut impl FnMut(&'static str, i32) -> u32,
) -> LimitPolicy {
    let mut rule = |field, rule: Option<proto::LimitRule>| {
        rule.map(|rule| LimitRule {
            burst: count(field, rule.burst_count),
            period_ms: count(field, rule.period_ms),
        })
    };
    LimitPolicy {
        ip: rule("policy.limits.ip", limits.ip),
        ip_prefix: rule("policy.limits.ip_prefix", limits.ip_prefix),
        author: rule("policy.limits.author", limits.author),
        page: rule("policy.limits.page", limits.page),
        site: rule("policy.limits.site", limits.site),
        identical_text: rule("policy.limits.identical_text", limits.identical_text),
    }
}

/// The stored site with the masked fields of the sent one (AIP-134, AIP-161).
///
/// # Errors
/// `Invalid` for a path that is not a field of the site.
pub(super) fn apply_mask(
    stored: &Site,
    sent: proto::Site,
    mask: Option<prost_types::FieldMask>,
) -> Result<(String, SitePolicy), ModerationError> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    if paths.is_empty() || paths == ["*"] {
        return Ok((sent.display_name, from_wire(sent.policy)?));
    }
    let mut display_name = stored.display_name.clone();
    let mut policy = to_wire(stored.policy.clone());
    let sent_policy = sent.policy.unwrap_or_default();
    for path in &paths {
        match path.split_once('.') {
            None if path == "display_name" => display_name.clone_from(&sent.display_name),
            None if path == "policy" => policy = sent_policy.clone(),
            Some(("policy", field)) => copy_field(&mut policy, &sent_policy, field)?,
            _ => return Err(unknown_path()),
        }
    }
    Ok((display_name, from_wire(Some(policy))?))
}

fn unknown_path() -> ModerationError {
    let text = "Each path must name a field of the site, such as `policy.hold_words`.";
    ModerationError::field("update_mask", "unknown-path", text)
}

/// Copies one field of a policy, named as in the contract.
fn copy_field(
    to: &mut proto::SitePolicy,
    from: &proto::SitePolicy,
    field: &str,
) -> Result<(), ModerationError> {
    macro_rules! copy {
        ($($name:ident)*) => {
            match field {
                $(stringify!($name) => to.$name = from.$name.clone(),)*
                _ => return Err(unknown_path()),
            }
        };
    }
    copy!(author_required email_required hold_one_in reject_one_in hold_threshold
        reject_threshold discard_threshold hold_link_count hold_first_time_author hold_all
        close_after_days elapsed_ms_min hold_words reject_words whole_words blocklist_hosts
        allowlist_hosts languages limits hold_abuse_one_in akismet_rechecks akismet_discards
        comment_retention_days keep_labelled_comments audit_retention_days
        delivery_retention_days);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_survive_the_wire() {
        let policy = SitePolicy {
            hold_threshold: Some(0.4),
            hold_link_count: Some(2),
            words: WordLists { reject: vec!["casino".into()], ..WordLists::default() },
            limits: LimitPolicy { page: None, ..LimitPolicy::default() },
            retention: RetentionPolicy { comment_days: 30, ..RetentionPolicy::default() },
            ..SitePolicy::default()
        };
        assert_eq!(from_wire(Some(to_wire(policy.clone()))).unwrap(), policy);
        assert_eq!(from_wire(None).unwrap(), SitePolicy::default());
    }

    #[test]
    fn every_field_of_a_policy_can_be_masked() {
        let file = include_str!("../../proto/replyguard/v1/site_service.proto");
        let message = file.split("message SitePolicy {").nth(1).unwrap().split('}').next().unwrap();
        let fields: Vec<_> = message
            .lines()
            .filter_map(|line| line.trim().split_once(" = "))
            .filter(|(left, _)| !left.starts_with("//"))
            .map(|(left, _)| left.rsplit(' ').next().unwrap())
            .collect();
        assert!(fields.len() >= 19, "{fields:?}");
        for field in fields {
            let copied = copy_field(
                &mut proto::SitePolicy::default(),
                &to_wire(SitePolicy::default()),
                field,
            );
            assert!(copied.is_ok(), "{field}");
        }
    }

    #[test]
    fn negative_counts_are_reported_together() {
        let error = from_wire(Some(proto::SitePolicy {
            hold_one_in: Some(-1),
            close_after_days: Some(-2),
            ..proto::SitePolicy::default()
        }))
        .unwrap_err();
        let ModerationError::Invalid(violations) = error else { panic!("{error:?}") };
        let fields: Vec<_> = violations.iter().map(|v| v.field).collect();
        assert_eq!(fields, ["policy.hold_one_in", "policy.close_after_days"]);
    }
}
