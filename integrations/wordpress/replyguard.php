<?php
/**
 * Plugin Name: replyguard
 * Requires at least: 5.9
 * Description: Akismet's plugin asks your own replyguard instead of akismet.com, and holds comments when there is no answer.
 * License: Apache-2.0 OR MIT
 *
 * A must-use plugin: put this file into wp-content/mu-plugins/ and say in wp-config.php where
 * replyguard is reached, above the line about happy publishing:
 *
 *     define( 'REPLYGUARD_URL', 'https://replyguard.example.org' );
 *
 * Then enter the site's Akismet key of replyguard in Akismet's plugin, which stays as it is.
 *
 * Seen with WordPress 6.1 and 7.1, with Akismet's plugin 5.0.2 and 5.7.2.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT
 */

defined( 'ABSPATH' ) || exit;

/** Seconds. replyguard answers in less than one; a reader waits no longer than this. */
const REPLYGUARD_TIMEOUT_S = 2;

/*
 * Whatever is for Akismet's host, `rest.akismet.com` or `KEY.rest.akismet.com`, goes to
 * REPLYGUARD_URL and nowhere else: without that setting nothing is sent at all.
 */
add_filter(
	'pre_http_request',
	function ( $answer, $args, $url ) {
		$parts = wp_parse_url( $url );
		if ( ! preg_match( '/^(?:([0-9a-f]{12})\.)?rest\.akismet\.com$/i', $parts['host'] ?? '', $found ) ) {
			return $answer;
		}
		if ( ! defined( 'REPLYGUARD_URL' ) ) {
			return replyguard_hold( 'REPLYGUARD_URL is not defined in wp-config.php.' );
		}
		$to = untrailingslashit( REPLYGUARD_URL ) . ( $parts['path'] ?? '/' );
		if ( isset( $parts['query'] ) ) {
			$to .= '?' . $parts['query'];
		}
		if ( isset( $found[1] ) ) {
			$to = add_query_arg( 'api_key', $found[1], $to );
		}
		foreach ( array_keys( (array) $args['headers'] ) as $name ) {
			if ( 'host' === strtolower( $name ) ) {
				unset( $args['headers'][ $name ] );
			}
		}
		$uncalled = str_ends_with( $parts['path'] ?? '', '/comment-check' ) && is_string( $args['body'] ) && ! str_contains( $args['body'], '&callback=' );
		if ( $uncalled ) {
			$args['body'] .= '&callback=' . rawurlencode( rest_url( 'replyguard/v1/decided' ) );
		}
		$args['timeout']            = REPLYGUARD_TIMEOUT_S;
		$args['redirection']        = 0;
		$args['reject_unsafe_urls'] = false;
		$answer                     = wp_remote_request( $to, $args );
		if ( is_wp_error( $answer ) ) {
			return replyguard_hold( $answer->get_error_message() );
		}
		// replyguard puts a guid on all it says. What has none was said by something in between.
		if ( '' === wp_remote_retrieve_header( $answer, 'x-akismet-guid' ) ) {
			return replyguard_hold( 'Something else than replyguard answered.' );
		}
		// "Not spam, but wait": a version that does not know how would publish.
		if ( $uncalled && '' !== wp_remote_retrieve_header( $answer, 'x-akismet-recheck-after' ) ) {
			return replyguard_hold( 'Held: a moderator is to decide on this comment.' );
		}
		return $answer;
	},
	10,
	3
);

/**
 * An answer that makes Akismet's plugin keep the comment for a moderator and ask again later. An
 * error would make it try twice more, each time while the reader waits.
 */
function replyguard_hold( $why ) {
	return array(
		'headers'  => array(
			'x-akismet-error' => $why,
			'x-akismet-guid'  => wp_generate_uuid4(),
		),
		'body'     => '',
		'response' => array( 'code' => 503, 'message' => 'Service Unavailable' ),
		'cookies'  => array(),
		'filename' => null,
	);
}

/*
 * Akismet's plugin asks again about the comments that were held, every twenty minutes, but stops at
 * the first that still is. Others may have been decided in replyguard's console meanwhile: they are
 * asked about here.
 */
add_action( 'akismet_schedule_cron_recheck', 'replyguard_follow', 20 );

/** Does with the held comments what was decided about them. */
function replyguard_follow() {
	if ( ! class_exists( 'Akismet' ) ) {
		return;
	}
	$held = array( 'status' => 'hold', 'meta_key' => 'akismet_error', 'fields' => 'ids', 'number' => 100 );
	foreach ( get_comments( $held ) as $id ) {
		if ( 'false' === Akismet::recheck_comment( $id, 'retry' ) ) {
			$c = get_comment( $id );
			if ( check_comment( $c->comment_author, $c->comment_author_email, $c->comment_author_url, $c->comment_content, $c->comment_author_IP, $c->comment_agent, $c->comment_type ) ) {
				wp_set_comment_status( $id, 'approve' );
			}
		}
	}
}

/*
 * Akismet's plugin publishes by itself, two days later, what an answer asked it to wait for. What
 * replyguard holds is for a person to decide, however long that takes.
 */
add_action(
	'init',
	function () {
		remove_all_actions( 'akismet_approval_fallback' );
	},
	20
);

/*
 * Versions from 5.5 on can be called when a moderator has decided. Earlier ones get this: replyguard is
 * given an address, and whatever it sends there, the held comments are asked about at once.
 */
add_action(
	'rest_api_init',
	function () {
		$decided = array(
			'methods'             => 'POST',
			'permission_callback' => function ( $request ) {
				$key = class_exists( 'Akismet' ) ? (string) Akismet::get_api_key() : '';
				return '' !== $key && is_string( $request['key'] ) && hash_equals( $key, $request['key'] );
			},
			'callback'            => function () {
				replyguard_follow();
				return new WP_REST_Response( null, 204 );
			},
		);
		register_rest_route( 'replyguard/v1', '/decided', $decided );
	}
);

// It writes to the moderator each time it asks in vain about a comment. Once is enough.
add_filter(
	'notify_moderator',
	function ( $notify, $id ) {
		$again = doing_action( 'akismet_schedule_cron_recheck' );
		return $again ? $notify && add_comment_meta( $id, 'replyguard_mailed', '1', true ) : $notify;
	},
	10,
	2
);

// Its settings page shows figures of akismet.com in a frame and gives it the key; its list of
// comments shows pictures, by a third party, of the sites that authors link to.
add_action(
	'load-settings_page_akismet-key-config',
	function () {
		header( "Content-Security-Policy: frame-src 'self'" );
	}
);
add_filter( 'akismet_enable_mshots', '__return_false' );
