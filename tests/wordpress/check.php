<?php
// A day of a WordPress with Akismet's unmodified plugin that asks replyguard: the reader at the form,
// the editor in wp-admin, the moderator at replyguard's queue. Started by `with-wordpress.sh`.

require __DIR__ . '/people.php';

$passed = 0;
function expect( $what, $seen, $wanted ) {
	global $passed;
	if ( $seen !== $wanted ) {
		$say = fn( $value ) => json_encode( $value, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE );
		fwrite( STDERR, "FAILED: $what\n  seen:   {$say( $seen )}\n  wanted: {$say( $wanted )}\n" );
		exit( 1 );
	}
	++$passed;
	echo "ok: $what\n";
}

$key    = json_decode( file_get_contents( getenv( 'REPLYGUARD_DATA' ) . '/first-site.json' ), true )['akismet_key'];
$editor = new Editor();

// The key, as it is entered in wp-admin.
$editor->enter_key( '0123456789ab' );
expect( 'a key that nobody has is not taken', option( 'wordpress_api_key' ), null );
$editor->enter_key( $key );
expect( "the site's key is taken", option( 'wordpress_api_key' ), $key );
$config = $editor->get( '/wp-admin/options-general.php?page=akismet-key-config' );
expect( 'wp-admin shows the account as active', (bool) preg_match( '/>\s*Active\s*</', $config ), true );

// Older plugins put the key into the host. Without a setting nothing is sent anywhere.
$verify = "wp_remote_post( 'https://$key.rest.akismet.com/1.1/verify-key', array( 'body' => array( 'blog' => 'x' ) ) )";
expect( 'the key may be in the host', in_wordpress( "echo wp_remote_retrieve_body( $verify );" ), 'valid' );
$error = in_wordpress( "echo wp_remote_retrieve_header( $verify, 'x-akismet-error' );", 'WITHOUT_REPLYGUARD_URL=1' );
expect( 'without REPLYGUARD_URL it is held', $error, 'REPLYGUARD_URL is not defined in wp-config.php.' );

// The reader at the form.
$ham = ( new Reader( 'Ada' ) )->comment( "It's the first recipe with rye that \"worked\" in my oven. How long do you let it rest?" );
expect( 'ham is published', state( $ham ), '1' );
expect( 'ham is on the page', str_contains( page(), 'How long do you let it rest?' ), true );
$casino = 'Play at the best online casino now: free spins, no deposit bonus, instant payout! '
	. '<a href="https://casino-bonus.example.com/free-spins">casino bonus</a> https://casino-bonus.example.com/slots cheap "viagra"';
$spam = ( new Reader( 'Best Online Casino Bonus', 'https://casino-bonus.example.com/free-spins' ) )->comment( $casino );
expect( 'spam is in the spam box', state( $spam ), 'spam' );
expect( 'spam is not on the page', str_contains( page(), 'free spins' ), false );
expect( 'wp-admin shows it in the spam box', str_contains( $editor->get( '/wp-admin/edit-comments.php?comment_status=spam' ), 'free spins' ), true );

// "Not spam" is a label, and outranks the model.
$editor->not_spam( $spam );
expect( '"Not Spam" takes it out of the spam box', state( $spam ), '0' );
$counts = $editor->check_for_spam();
expect( '"Check for Spam" finds no spam', array( $counts['ham'], $counts['spam'], $counts['error'] ), array( 1, 0, 0 ) );
expect( 'it stays out of the spam box', state( $spam ), '0' );
$editor->approve( $spam );
expect( 'the editor may publish it', state( $spam ), '1' );

// "Spam" is a label, too: what the machine let through is spam when it comes again.
$editor->spam( $ham );
expect( '"Spam" puts it into the spam box', state( $ham ), 'spam' );
$again = ( new Reader( 'Bea' ) )->comment( "It's the first recipe with rye that \"worked\" in my oven. How long do you let it rest??" );
expect( 'its near duplicate is not published', in_array( state( $again ), array( 'spam', '0' ), true ), true );

// Held comments wait for a moderator, and the console's decisions arrive by cron.
policy( "hold_all = true\n" );
$first  = ( new Reader( 'Cy' ) )->comment( 'Does it work with spelt flour as well, I wonder? Mine is rather coarse.' );
$second = ( new Reader( 'Dee' ) )->comment( 'My grandmother added a spoon of honey to the starter, which helped in winter.' );
$third  = ( new Reader( 'Eve' ) )->comment( 'Buy cheap replica watches in our little shop, all famous brands, best price.' );
expect( 'held comments await a moderator', array( state( $first ), state( $second ), state( $third ) ), array( '0', '0', '0' ) );
expect( 'a held comment is not on the page', str_contains( page(), 'spelt flour' ), false );
cron();
cron();
$mails = rows( "SELECT comment_id FROM wp_commentmeta WHERE meta_key = 'replyguard_mailed'" );
expect( 'the moderator is written to once', $mails, array( array( 'comment_id' => $first ) ) );
expect( 'they wait until somebody decides', array( state( $first ), state( $second ), state( $third ) ), array( '0', '0', '0' ) );
decide( 'approve', 'honey' );
decide( 'reject', 'replica' );
cron();
expect( 'WordPress follows the console, past what is still held', array( state( $first ), state( $second ), state( $third ) ), array( '0', '1', 'spam' ) );
decide( 'approve', 'spelt' );
cron();
expect( 'and the rest', state( $first ), '1' );
policy( '' );

// The service is down, then hangs: the reader does not notice, nothing is published, nothing is lost.
service( 'stop' );
$begin = microtime( true );
$down  = ( new Reader( 'Flo' ) )->comment( 'I bake it in a cast iron pot with the lid on for the first half hour.' );
expect( 'with the service down a comment is held', state( $down ), '0' );
expect( 'and the reader waits less than 4 s', microtime( true ) - $begin < 4, true );
$deaf  = deaf_service();
$begin = microtime( true );
$hung  = ( new Reader( 'Gus' ) )->comment( 'Thank you! The crust was wonderful, only the crumb stayed a little moist.' );
expect( 'with a service that hangs a comment is held', state( $hung ), '0' );
expect( 'and the reader waits less than 5 s', microtime( true ) - $begin < 5, true );
fclose( $deaf );
cron();
expect( 'they wait while the service is down', array( state( $down ), state( $hung ) ), array( '0', '0' ) );
// From here on it may call WordPress, which is in its own network.
putenv( 'REPLYGUARD_WEBHOOK_PRIVATE_TARGETS=true' );
service( 'start' );
cron();
expect( 'cron publishes them when it is back', array( state( $down ), state( $hung ) ), array( '1', '1' ) );
expect( 'the plugin still tries TLS first', option( 'akismet_ssl_disabled' ), null );

// Who may be called follows at once.
policy( "hold_all = true\n" );
$called = ( new Reader( 'Hal' ) )->comment( 'Could you say how much water you use for a kilogram of flour, please?' );
expect( 'a comment is held', state( $called ), '0' );
decide( 'approve', 'kilogram' );
expect( 'WordPress follows the console without cron', wait_for_state( $called, '1' ), '1' );
preg_match( "/'AKISMET_VERSION', '([^']*)'/", file_get_contents( getenv( 'WP_PATH' ) . '/wp-content/plugins/akismet/akismet.php' ), $found );
if ( version_compare( $found[1], '5.5', '>=' ) ) {
	decide( 'reject', 'kilogram', 'approved' );
	expect( 'and follows a second thought', wait_for_state( $called, 'spam' ), 'spam' );
}

// "Wait, you will be called": published by nobody.
policy( "hold_all = true\nakismet_rechecks = true\n" );
$waits = ( new Reader( 'Ida' ) )->comment( 'Is a Dutch oven needed, or would an ordinary tin do for the second loaf?' );
expect( 'a comment that is to be waited for is held', state( $waits ), '0' );
decide( 'approve', 'Dutch' );
expect( 'and published when it is decided', wait_for_state( $waits, '1' ), '1' );

echo "$passed passed, 0 failed\n";
