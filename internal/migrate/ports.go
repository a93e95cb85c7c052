package migrate

import "strconv"

// ports are the names of services(5) that such servers are found under.
var ports = [...]struct{ name, number string }{
	{"smtp", "25"}, {"mail", "25"}, {"smtps", "465"}, {"ssmtp", "465"}, {"urd", "465"}, {"submissions", "465"},
	{"submission", "587"}, {"msa", "587"}, {"pop3", "110"}, {"pop-3", "110"}, {"pop3s", "995"},
	{"imap", "143"}, {"imap2", "143"}, {"imap4", "143"}, {"imaps", "993"}, {"qmtp", "209"}, {"qmqp", "628"},
	{"qmtps", "6209"}, {"poppassd", "106"}, {"finger", "79"}, {"auth", "113"}, {"ident", "113"}, {"time", "37"},
	{"daytime", "13"}, {"ftp", "21"}, {"telnet", "23"}, {"http", "80"}, {"www", "80"}, {"https", "443"},
	{"nntp", "119"}, {"rsync", "873"}, {"git", "9418"},
}

// portNumber returns the number of a port, "" where it is not known.
func portNumber(port string) string {
	for _, p := range ports {
		if p.name == port {
			return p.number
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
		return strconv.FormatUint(n, 10)
	}
	return ""
}
