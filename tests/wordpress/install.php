<?php
// Installs the WordPress of `with-wordpress.sh`: an administrator, one page to comment on, Akismet's
// plugin active and without a key.

$_SERVER['HTTP_HOST'] = parse_url( getenv( 'WP_URL' ), PHP_URL_HOST ) . ':' . parse_url( getenv( 'WP_URL' ), PHP_URL_PORT );
define( 'WP_INSTALLING', true );
require getenv( 'WP_PATH' ) . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';

$done = wp_install( 'Rye and Oven', getenv( 'WP_USER' ), 'editor@example.org', true, '', getenv( 'WP_PASSWORD' ) );

wp_update_post(
	array(
		'ID'           => 1,
		'post_title'   => 'Rye bread without a mixer',
		'post_name'    => 'rye-bread',
		'post_content' => '<!-- wp:paragraph --><p>Stir flour, water and the starter in the evening; bake in the morning.</p><!-- /wp:paragraph -->',
	)
);
// The comment that every new WordPress has.
wp_delete_comment( 1, true );

$options = array(
	// As docs/moving-from-akismet.md advises: replyguard decides, also about somebody's first comment.
	'comment_previously_approved' => 0,
	'comments_notify'             => 0,
	// Those pictures come from elsewhere.
	'show_avatars'                => 0,
);
foreach ( $options as $name => $value ) {
	update_option( $name, $value );
}
$active = activate_plugin( 'akismet/akismet.php' );
if ( is_wp_error( $active ) || is_wp_error( $done ) ) {
	fwrite( STDERR, "the installation failed\n" );
	exit( 1 );
}
