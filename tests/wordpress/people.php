<?php
// The reader, the editor and the moderator of `check.php`, and what they can see.

/** A browser: cookies, and an address of its own on the loopback network. */
class Browser {
	private $curl;

	public function __construct( string $address ) {
		$this->curl = curl_init();
		curl_setopt_array(
			$this->curl,
			array(
				CURLOPT_COOKIEFILE     => '',
				CURLOPT_FOLLOWLOCATION => true,
				CURLOPT_INTERFACE      => $address,
				CURLOPT_RETURNTRANSFER => true,
				CURLOPT_TIMEOUT        => 60,
				CURLOPT_USERAGENT      => 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
			)
		);
	}

	public function get( string $path ): string {
		return $this->send( $path, array( CURLOPT_HTTPGET => true ) );
	}

	public function post( string $path, array $fields ): string {
		return $this->send( $path, array( CURLOPT_POST => true, CURLOPT_POSTFIELDS => http_build_query( $fields ) ) );
	}

	private function send( string $path, array $options ): string {
		$url = str_starts_with( $path, 'http' ) ? $path : getenv( 'WP_URL' ) . $path;
		curl_setopt_array( $this->curl, array( CURLOPT_URL => $url ) + $options );
		$body = curl_exec( $this->curl );
		if ( false === $body || curl_getinfo( $this->curl, CURLINFO_RESPONSE_CODE ) >= 500 ) {
			fail( "$url: " . curl_error( $this->curl ) . substr( (string) $body, 0, 500 ) );
		}
		return $body;
	}

	/** The fields of the form with this id or action, as a browser would send them. */
	public static function fields( string $html, string $xpath ): array {
		$page = new DOMDocument();
		@$page->loadHTML( $html );
		$finder = new DOMXPath( $page );
		$fields = array();
		foreach ( $finder->query( "$xpath//input[@name] | $xpath//textarea[@name]" ) as $field ) {
			if ( ! in_array( $field->getAttribute( 'type' ), array( 'checkbox', 'radio', 'submit' ), true ) ) {
				$fields[ $field->getAttribute( 'name' ) ] = 'textarea' === $field->nodeName ? $field->textContent : $field->getAttribute( 'value' );
			}
		}
		return $fields ?: fail( "no form $xpath in " . substr( $html, 0, 500 ) );
	}
}

/** Somebody who comments. Each has an address of their own, or WordPress's flood rule would speak. */
class Reader {
	private static $count = 0;
	private Browser $browser;
	private string $email;

	public function __construct( private string $name, private string $url = '' ) {
		++self::$count;
		$this->browser = new Browser( '127.0.0.' . ( 10 + self::$count ) );
		$this->email   = strtolower( strtok( $name, ' ' ) ) . '@example.org';
	}

	/** Writes into the form and sends it. Gives the comment's id. */
	public function comment( string $text ): int {
		$fields = Browser::fields( $this->browser->get( '/?p=1' ), '//form[@id="commentform"]' );
		// What the script of Akismet's plugin does when the form is shown.
		$fields['ak_js'] = (string) (int) ( microtime( true ) * 1000 );
		$filled          = array( 'author' => $this->name, 'email' => $this->email, 'url' => $this->url, 'comment' => $text );
		$this->browser->post( '/wp-comments-post.php', $filled + $fields );
		$found = rows( 'SELECT comment_ID FROM wp_comments WHERE comment_author = ? ORDER BY comment_ID DESC LIMIT 1', $this->name );
		return (int) ( $found[0]['comment_ID'] ?? fail( "the comment of {$this->name} did not arrive" ) );
	}
}

/** Who runs the site, in wp-admin. */
class Editor {
	private Browser $browser;

	public function __construct() {
		$this->browser = new Browser( '127.0.0.9' );
		$this->browser->get( '/wp-login.php' );
		$login = array( 'log' => getenv( 'WP_USER' ), 'pwd' => getenv( 'WP_PASSWORD' ), 'testcookie' => '1' );
		$this->browser->post( '/wp-login.php', $login );
	}

	public function get( string $path ): string {
		return $this->browser->get( $path );
	}

	public function enter_key( string $key ): void {
		$path   = '/wp-admin/options-general.php?page=akismet-key-config';
		$form   = '//form[.//input[@name="action" and @value="enter-key"]]';
		$fields = Browser::fields( $this->get( $path ), $form );
		$this->browser->post( $path, array( 'key' => $key ) + $fields );
	}

	/** Follows the link below a comment. */
	private function follow( int $id, string $box, string $action ): void {
		$html = html_entity_decode( $this->get( "/wp-admin/edit-comments.php?comment_status=$box" ) );
		if ( ! preg_match( "~comment\\.php\\?(?:c=$id&action=$action|action=$action&(?:p=1&)?c=$id)[^'\"]*~", $html, $found ) ) {
			fail( "no link $action for comment $id in $box" );
		}
		$this->get( "/wp-admin/$found[0]" );
	}

	public function not_spam( int $id ): void {
		$this->follow( $id, 'spam', 'unspamcomment' );
	}

	public function spam( int $id ): void {
		$this->follow( $id, 'all', 'spamcomment' );
	}

	public function approve( int $id ): void {
		$this->follow( $id, 'all', 'approvecomment' );
	}

	/** Presses the button of Akismet's plugin above the list. Gives what it found. */
	public function check_for_spam(): array {
		$html = $this->get( '/wp-admin/edit-comments.php' );
		preg_match( '/class="[^"]*checkforspam[^>]*data-nonce="([^"]*)"/s', $html, $found );
		$fields = array( 'action' => 'akismet_recheck_queue', 'offset' => 0, 'limit' => 100, 'nonce' => $found[1] ?? fail( 'no button "Check for Spam"' ) );
		return json_decode( $this->browser->post( '/wp-admin/admin-ajax.php', $fields ), true )['counts'];
	}
}

function fail( string $why ): never {
	fwrite( STDERR, "FAILED: $why\n" );
	exit( 1 );
}

/** Rows of WordPress's database. */
function rows( string $sql, string ...$values ): array {
	static $database = null;
	if ( ! $database ) {
		preg_match( "/'localhost:(.*)'/", file_get_contents( getenv( 'WP_PATH' ) . '/wp-config.php' ), $found );
		$database = new mysqli( 'localhost', 'root', '', 'wordpress', 0, $found[1] );
	}
	$statement = $database->prepare( $sql );
	$statement->execute( $values );
	$result = $statement->get_result();
	return $result ? $result->fetch_all( MYSQLI_ASSOC ) : array();
}

/** Where a comment stands: 1 published, 0 pending, spam, trash. */
function state( int $id ): string {
	return rows( 'SELECT comment_approved FROM wp_comments WHERE comment_ID = ?', (string) $id )[0]['comment_approved'];
}

function option( string $name ): ?string {
	return rows( 'SELECT option_value FROM wp_options WHERE option_name = ?', $name )[0]['option_value'] ?? null;
}

/** What a piece of PHP prints inside WordPress. */
function in_wordpress( string $code, string $environment = '' ): string {
	$code = "require getenv( 'WP_PATH' ) . '/wp-load.php'; $code";
	return (string) shell_exec( "$environment php -d display_errors=0 -r " . escapeshellarg( $code ) );
}

/** The page, as a stranger sees it. */
function page(): string {
	return html_entity_decode( ( new Browser( '127.0.0.8' ) )->get( '/?p=1' ) );
}

/** Lets the twenty minutes pass after which Akismet's plugin asks again. */
function cron(): void {
	$events = unserialize( option( 'cron' ) );
	$due    = array();
	foreach ( $events as $time => $hooks ) {
		if ( isset( $hooks['akismet_schedule_cron_recheck'] ) ) {
			$due['akismet_schedule_cron_recheck'] = $hooks['akismet_schedule_cron_recheck'];
			unset( $events[ $time ]['akismet_schedule_cron_recheck'] );
			$events[ $time ] = $events[ $time ] ?: null;
		}
	}
	$due    || fail( 'Akismet\'s plugin has not planned to ask again' );
	$events = array( 1000000000 => $due ) + array_filter( $events );
	rows( "UPDATE wp_options SET option_value = ? WHERE option_name = 'cron'", serialize( $events ) );
	rows( "DELETE FROM wp_options WHERE option_name = '_transient_doing_cron'" );
	( new Browser( '127.0.0.1' ) )->get( '/wp-cron.php?doing_wp_cron' );
}

/** A subcommand of replyguard, beside the running service. */
function replyguard( string ...$arguments ): string {
	$command = implode( ' ', array_map( 'escapeshellarg', array( getenv( 'REPLYGUARD_BIN' ), ...$arguments ) ) );
	exec( $command . ' --data-dir ' . escapeshellarg( getenv( 'REPLYGUARD_DATA' ) ) . ' 2>&1', $lines, $status );
	return 0 === $status ? implode( "\n", $lines ) : fail( "$command: " . implode( "\n", $lines ) );
}

/** Sets the site's policy: TOML; what it leaves out has its default. */
function policy( string $toml ): void {
	$file = tempnam( sys_get_temp_dir(), 'policy' );
	file_put_contents( $file, $toml );
	replyguard( 'sites', 'set-policy', 'default', $file );
	unlink( $file );
}

/** What a moderator decides about the comments with a word. */
function decide( string $action, string $word, string $state = 'held' ): void {
	replyguard( 'queue', $action, '--filter', "state:$state $word" );
}

/** Where a comment stands as soon as it stands there, or after ten seconds. */
function wait_for_state( int $id, string $wanted ): string {
	for ( $tries = 0; state( $id ) !== $wanted && $tries < 100; $tries++ ) {
		usleep( 100_000 );
	}
	return state( $id );
}

function service( string $what ): void {
	exec( escapeshellarg( getenv( 'REPLYGUARD_CTL' ) ) . " $what", $lines, $status );
	0 === $status || fail( "the service did not $what" );
}

/** Takes connections in the service's stead and never answers. */
function deaf_service() {
	return stream_socket_server( str_replace( 'http://', 'tcp://', getenv( 'REPLYGUARD_URL' ) ) ) ?: fail( 'the port is not free' );
}
