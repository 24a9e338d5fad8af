<?php
// Takes the pictures of docs/moving-from-akismet.md, in a real browser: the key in wp-admin, a reader's
// comment through the form, the spam box, the console's queue, and WordPress after the decision.
// Started by `with-wordpress.sh`; `make deps` brings the browser.

require __DIR__ . '/people.php';

/** Headless Chromium, driven through chromedriver. */
class Window {
	private $driver;
	private string $base;
	private string $profile;

	public function __construct() {
		$this->profile = sys_get_temp_dir() . '/window-' . getmypid();
		$socket        = stream_socket_server( 'tcp://127.0.0.1:0' );
		$port          = preg_replace( '/.*:/', '', stream_socket_get_name( $socket, false ) );
		fclose( $socket );
		$silent       = array( array( 'file', '/dev/null', 'r' ), array( 'file', '/dev/null', 'w' ), array( 'file', '/dev/null', 'w' ) );
		$this->driver = proc_open( array( 'chromedriver', "--port=$port" ), $silent, $pipes );
		$this->base   = "http://127.0.0.1:$port";
		for ( $tries = 0; ! @file_get_contents( "$this->base/status" ); $tries++ ) {
			$tries < 100 || fail( 'chromedriver does not answer' );
			usleep( 100_000 );
		}
		$flags   = array( '--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--window-size=1000,880', "--user-data-dir=$this->profile" );
		$session = $this->call( 'POST', '/session', array( 'capabilities' => array( 'alwaysMatch' => array( 'goog:chromeOptions' => array( 'args' => $flags ) ) ) ) );
		$this->base .= '/session/' . $session['sessionId'];
	}

	public function close(): void {
		$this->call( 'DELETE', '' );
		proc_terminate( $this->driver );
		proc_close( $this->driver );
		exec( 'rm -rf ' . escapeshellarg( $this->profile ) );
	}

	private function call( string $method, string $path, array $body = array() ) {
		$curl = curl_init( $this->base . $path );
		curl_setopt_array( $curl, array( CURLOPT_CUSTOMREQUEST => $method, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 60 ) );
		if ( 'POST' === $method ) {
			curl_setopt( $curl, CURLOPT_HTTPHEADER, array( 'Content-Type: application/json' ) );
			curl_setopt( $curl, CURLOPT_POSTFIELDS, json_encode( $body ?: new stdClass() ) );
		}
		$value = json_decode( (string) curl_exec( $curl ), true )['value'] ?? null;
		isset( $value['error'] ) && fail( "$path: " . $value['message'] );
		return $value;
	}

	public function open( string $url ): void {
		$this->call( 'POST', '/url', array( 'url' => $url ) );
	}

	private function element( string $css ): string {
		$this->call( 'POST', '/timeouts', array( 'implicit' => 10_000 ) );
		return current( $this->call( 'POST', '/element', array( 'using' => 'css selector', 'value' => $css ) ) );
	}

	public function fill( string $css, string $text ): void {
		$this->call( 'POST', '/element/' . $this->element( $css ) . '/value', array( 'text' => $text ) );
	}

	public function click( string $css ): void {
		$this->call( 'POST', '/element/' . $this->element( $css ) . '/click' );
	}

	public function run( string $script ) {
		return $this->call( 'POST', '/execute/sync', array( 'script' => $script, 'args' => array() ) );
	}

	public function picture( string $name ): void {
		$file = dirname( __DIR__, 2 ) . "/docs/images/$name.png";
		is_dir( dirname( $file ) ) || mkdir( dirname( $file ) );
		file_put_contents( $file, base64_decode( $this->call( 'GET', '/screenshot' ) ) );
		echo "docs/images/$name.png\n";
	}

	/** Waits for an element and scrolls to it. */
	public function show( string $css, string $where = 'center' ): void {
		$this->element( $css );
		$this->run( 'document.querySelector(' . json_encode( $css ) . ").scrollIntoView({ block: '$where', behavior: 'instant' })" );
	}
}

$wordpress = getenv( 'WP_URL' );
$key       = json_decode( file_get_contents( getenv( 'REPLYGUARD_DATA' ) . '/first-site.json' ), true )['akismet_key'];
$window    = new Window();

// The moderator, by the link of the first start.
$log = file_get_contents( dirname( getenv( 'WP_PATH' ) ) . '/replyguard.log' );
preg_match( '~http://\S+/console/invitation/\w+~', $log, $found );
$window->open( $found[0] );
$window->fill( '[name=password]', getenv( 'WP_PASSWORD' ) );
$window->fill( '[name=repeated]', getenv( 'WP_PASSWORD' ) );
$window->click( 'button.primary' );
$window->show( '.tiles' );

// The owner: the key in wp-admin.
$window->open( "$wordpress/wp-login.php" );
$window->fill( '#user_login', getenv( 'WP_USER' ) );
$window->fill( '#user_pass', getenv( 'WP_PASSWORD' ) );
$window->click( '#wp-submit' );
$window->show( '#wpadminbar' );
$window->open( "$wordpress/wp-admin/options-general.php?page=akismet-key-config" );
$window->click( '.akismet-enter-api-key-box a' );
$window->fill( '#key', $key );
sleep( 1 ); // It slides open.
$window->picture( 'wordpress-key' );
$window->click( '.enter-api-key [type=submit]' );
$window->show( '.akismet-settings' );
option( 'wordpress_api_key' ) === $key || fail( 'the key was not taken' );

// Spam by others, so that the box is not empty.
$texts = array(
	'Best Online Casino' => 'Play at the best online casino now: free spins, no deposit bonus! https://casino-bonus.example.com/slots',
	'Cheap Pills Store'  => 'Buy cheap viagra and cialis online without prescription, worldwide shipping https://pills.example.com/order',
	'SEO Expert Rank'    => 'We guarantee first page Google ranking, buy 10000 backlinks today https://seo-rank.example.com/ best price',
);
foreach ( $texts as $name => $text ) {
	( new Reader( $name ) )->comment( $text );
}
$window->open( "$wordpress/wp-admin/edit-comments.php?comment_status=spam" );
$window->show( '#the-comment-list tr' );
$window->run( 'scrollTo(0, 0)' );
$window->picture( 'wordpress-spam' );

// A reader at the form; this site holds everything.
policy( "hold_all = true\n" );
$window->open( "$wordpress/wp-login.php?action=logout" );
$window->click( '.wp-die-message a, #error-page a, a[href*="_wpnonce"]' );
$window->open( "$wordpress/?p=1" );
$window->fill( '#commentform [name=comment]', 'Does it work with spelt flour as well? Mine is rather coarse.' );
$window->fill( '#commentform [name=author]', 'Cy' );
$window->fill( '#commentform [name=email]', 'cy@example.org' );
$window->show( '#reply-title', 'start' );
$window->picture( 'wordpress-form' );
$window->click( '#commentform [type=submit]' );
$window->show( '#comments, .wp-block-comments' );
$found = rows( "SELECT comment_ID FROM wp_comments WHERE comment_author = 'Cy'" )[0]['comment_ID'];
'0' === state( $found ) || fail( 'the comment is not held' );

// The moderator decides in the console.
$window->open( getenv( 'REPLYGUARD_URL' ) . '/console/sites/default' );
$window->show( '[data-entry]' );
$window->run( 'scrollTo(0, 0)' );
$window->picture( 'console-queue' );
$window->click( '[data-entry] button[value^="approve"]' );
for ( $tries = 0; '1' !== state( $found ); $tries++ ) {
	$tries < 20 || fail( 'WordPress does not follow' );
	usleep( 200_000 );
	cron();
}
$window->open( "$wordpress/?p=1" );
$window->show( '#comments, .wp-block-comments', 'start' );
$window->picture( 'wordpress-follows' );
$window->close();
