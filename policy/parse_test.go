package policy_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

func TestEachLineBecomesARule(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []policy.Rule
	}{
		{
			name: "allow an address",
			text: "192.0.2.1:allow\n",
			want: []policy.Rule{{Address: "192.0.2.1", Verdict: policy.Allow, Line: 1}},
		},
		{
			name: "deny an address",
			text: "192.0.2.1:deny\n",
			want: []policy.Rule{{Address: "192.0.2.1", Verdict: policy.Deny, Line: 1}},
		},
		{
			name: "the relay clients of 1998",
			text: "127.:allow,RELAYCLIENT=\"\"\n",
			want: []policy.Rule{{Address: "127.", Verdict: policy.Allow, Env: []string{"RELAYCLIENT="}, Line: 1}},
		},
		{
			name: "a rule for everybody has no address",
			text: ":deny\n",
			want: []policy.Rule{{Address: "", Verdict: policy.Deny, Line: 1}},
		},
		{
			name: "a rule for everybody with a name",
			text: "=:allow\n",
			want: []policy.Rule{{Address: "=", Verdict: policy.Allow, Line: 1}},
		},
		{
			name: "host, suffix and both kinds of info",
			text: "=mail.example.org:allow\n=.example.org:deny\njoe@192.0.2.1:allow\njoe@=mail.example.org:deny\n",
			want: []policy.Rule{
				{Address: "=mail.example.org", Verdict: policy.Allow, Line: 1},
				{Address: "=.example.org", Verdict: policy.Deny, Line: 2},
				{Address: "joe@192.0.2.1", Verdict: policy.Allow, Line: 3},
				{Address: "joe@=mail.example.org", Verdict: policy.Deny, Line: 4},
			},
		},
		{
			name: "a range keeps its text",
			text: "192.0.2.37-53:deny\n",
			want: []policy.Rule{{Address: "192.0.2.37-53", Verdict: policy.Deny, Line: 1}},
		},
		{
			name: "an address of any kind is taken as it is",
			text: "1.2.3/24:allow\n*:deny\nFOO BAR:allow\n",
			want: []policy.Rule{
				{Address: "1.2.3/24", Verdict: policy.Allow, Line: 1},
				{Address: "*", Verdict: policy.Deny, Line: 2},
				{Address: "FOO BAR", Verdict: policy.Allow, Line: 3},
			},
		},
		{
			name: "blanks before and after the address belong to it",
			text: "  1.2.3.4:allow\n1.2.3.5 :allow\n\t:allow\n",
			want: []policy.Rule{
				{Address: "  1.2.3.4", Verdict: policy.Allow, Line: 1},
				{Address: "1.2.3.5 ", Verdict: policy.Allow, Line: 2},
				{Address: "\t", Verdict: policy.Allow, Line: 3},
			},
		},
		{
			name: "the same address twice is two rules",
			text: ":allow\n:deny\n",
			want: []policy.Rule{
				{Address: "", Verdict: policy.Allow, Line: 1},
				{Address: "", Verdict: policy.Deny, Line: 2},
			},
		},
		{
			name: "the last line needs no end",
			text: ":allow\n127.:deny",
			want: []policy.Rule{
				{Address: "", Verdict: policy.Allow, Line: 1},
				{Address: "127.", Verdict: policy.Deny, Line: 2},
			},
		},
		{
			name: "blanks at the end of a line",
			text: "127.:allow \t \n10.:deny\t",
			want: []policy.Rule{
				{Address: "127.", Verdict: policy.Allow, Line: 1},
				{Address: "10.", Verdict: policy.Deny, Line: 2},
			},
		},
		{
			name: "NUL is a byte like any other",
			text: "a\x00b:allow,N\x00=\"v\x00\"\n",
			want: []policy.Rule{{Address: "a\x00b", Verdict: policy.Allow, Env: []string{"N\x00=v\x00"}, Line: 1}},
		},
		{
			name: "a long line",
			text: "127.:allow,LONG=\"" + strings.Repeat("x", 1<<20) + "\"\n",
			want: []policy.Rule{{Address: "127.", Verdict: policy.Allow, Env: []string{"LONG=" + strings.Repeat("x", 1<<20)}, Line: 1}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, parse(t, tt.text).Rules()); diff != "" {
				t.Errorf("Rules() (-want +got)\n%s", diff)
			}
		})
	}
}

func TestLinesThatHoldNoRule(t *testing.T) {
	tests := []struct{ name, text string }{
		{"no text at all", ""},
		{"an empty line", "\n"},
		{"empty lines", "\n\n\n"},
		{"a comment", "# 127.:allow\n"},
		{"a comment without an end", "#"},
		{"a comment that would be an error", "#127.:perhaps\n"},
		{"blanks only", " \t \n"},
		{"words without a colon", "127.\n"},
		{"a comment after a blank, when it has no colon", " # the relay clients\n"},
		{"CRLF alone", "\r\n"},
		{"a NUL", "\x00\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff([]policy.Rule(nil), parse(t, tt.text).Rules()); diff != "" {
				t.Errorf("Rules() (-want +got)\n%s", diff)
			}

			text := tt.text
			if !strings.HasSuffix(text, "\n") {
				text += "\n"
			}
			want := []policy.Rule{{Address: "", Verdict: policy.Deny, Line: strings.Count(text, "\n") + 1}}
			if diff := cmp.Diff(want, parse(t, text+":deny\n").Rules()); diff != "" {
				t.Errorf("the rule behind it (-want +got)\n%s", diff)
			}
		})
	}
}

func TestACommentAfterABlankIsARule(t *testing.T) {
	want := []policy.Rule{{Address: " # 127.", Verdict: policy.Allow, Line: 1}}
	if diff := cmp.Diff(want, parse(t, " # 127.:allow\n").Rules()); diff != "" {
		t.Errorf("Rules() (-want +got)\n%s", diff)
	}
}

func TestAnyByteQuotesAValue(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []string
	}{
		{"quotes", `,A="x"`, []string{"A=x"}},
		{"slashes", `,A=/x/`, []string{"A=x"}},
		{"letters", `,A=axa`, []string{"A=x"}},
		{"commas", `,A=,x,`, []string{"A=x"}},
		{"equal signs", `,A==x=`, []string{"A=x"}},
		{"colons", `,A=:x:`, []string{"A=x"}},
		{"a value that is the name again", `,A=AxA`, []string{"A=x"}},
		{"NULs", ",A=\x00x\x00", []string{"A=x"}},
		{"bytes of no encoding", ",A=\xffx\xff", []string{"A=x"}},
		{"CRs", ",A=\rx\r", []string{"A=x"}},
		{"blanks, but not at the end of the line", `,A= x ,B=" "`, []string{"A=x", "B= "}},
		{"nothing between them", `,A=""`, []string{"A="}},
		{"commas, colons and equal signs in the value", `,A="a,b:c=d"`, []string{"A=a,b:c=d"}},
		{"other quotes in the value", `,A='"x"'`, []string{`A="x"`}},
		{"a backslash quotes nothing", `,A="\",B="n"`, []string{`A=\`, "B=n"}},
		{"two variables", `,A="x",B="y"`, []string{"A=x", "B=y"}},
		{"two variables without anything between", `,A=xyx,B=,z,`, []string{"A=y", "B=z"}},
		{"a variable twice", `,A="x",A="y"`, []string{"A=x", "A=y"}},
		{"a name with blanks", `, A B ="x"`, []string{" A B =x"}},
		{"a name with a comma and a colon", `,A,B:C="x"`, []string{"A,B:C=x"}},
		{"no name", `,="x"`, []string{"=x"}},
		{"a lower-case name", `,relayclient=""`, []string{"relayclient="}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, verdict := range []string{"allow", "deny"} {
				rules := parse(t, "127.:"+verdict+tt.text+"\n")
				if diff := cmp.Diff(tt.want, rules.Rules()[0].Env); diff != "" {
					t.Errorf("variables after %s (-want +got)\n%s", verdict, diff)
				}
				if got := rules.Rules()[0].Verdict.String(); got != verdict {
					t.Errorf("verdict %s, want %s", got, verdict)
				}
			}
		})
	}
}

// refused is a line with an error.
type refused struct {
	name string
	line string
	want policy.SyntaxError
}

func TestLinesThatTcprulesRefuses(t *testing.T) {
	const verdict = "verdict: allow or deny must follow the colon"
	areRefused(t, []refused{
		{"nothing after the colon", "1.2.3.4:", policy.SyntaxError{Text: "1.2.3.4:", Reason: verdict}},
		{"a variable without a verdict", `1.2.3.4:FOO="x"`, policy.SyntaxError{Text: `1.2.3.4:FOO="x"`, Reason: verdict}},
		{"another word", "1.2.3.4:reject", policy.SyntaxError{Text: "1.2.3.4:reject", Reason: verdict}},
		{"half a word", "1.2.3.4:allo", policy.SyntaxError{Text: "1.2.3.4:allo", Reason: verdict}},
		{"an upper-case verdict", "1.2.3.4:Allow", policy.SyntaxError{Text: "1.2.3.4:Allow", Reason: verdict}},
		{"a blank before the verdict", "1.2.3.4: allow", policy.SyntaxError{Text: "1.2.3.4: allow", Reason: verdict}},
		{"a colon in a comment after a blank", " # note: this", policy.SyntaxError{Text: " # note: this", Reason: verdict}},
		{"a CRLF after the verdict", "1.2.3.4:allow\r", policy.SyntaxError{Text: "1.2.3.4:allow\r", Reason: `variable: a comma must stand before "\r"`}},
		{"a CRLF after a variable", "1.2.3.4:allow,A=\"\"\r", policy.SyntaxError{Text: "1.2.3.4:allow,A=\"\"\r", Reason: `variable: a comma must stand before "\r"`}},
		{"a longer word", "1.2.3.4:allowed", policy.SyntaxError{Text: "1.2.3.4:allowed", Reason: `variable: a comma must stand before "ed"`}},
		{"a comment behind a rule", "1.2.3.4:deny # spam", policy.SyntaxError{Text: "1.2.3.4:deny # spam", Reason: `variable: a comma must stand before " # spam"`}},
		{"a blank before the comma", `1.2.3.4:allow ,A="x"`, policy.SyntaxError{Text: `1.2.3.4:allow ,A="x"`, Reason: `variable: a comma must stand before " ,A=\"x\""`}},
		{"something after a value", `1.2.3.4:allow,A="x"y`, policy.SyntaxError{Text: `1.2.3.4:allow,A="x"y`, Reason: `variable: a comma must stand before "y"`}},
		{"a comma at the end", `1.2.3.4:allow,`, policy.SyntaxError{Text: `1.2.3.4:allow,`, Reason: `variable: no = after ""`}},
		{"a comma after a value", `1.2.3.4:allow,A="x",`, policy.SyntaxError{Text: `1.2.3.4:allow,A="x",`, Reason: `variable: no = after ""`}},
		{"a name alone", `1.2.3.4:allow,RELAYCLIENT`, policy.SyntaxError{Text: `1.2.3.4:allow,RELAYCLIENT`, Reason: `variable: no = after "RELAYCLIENT"`}},
		{"no value", `1.2.3.4:allow,RELAYCLIENT=`, policy.SyntaxError{Text: `1.2.3.4:allow,RELAYCLIENT=`, Reason: `variable "RELAYCLIENT": no value after the =`}},
		{"no name and no value", `1.2.3.4:allow,=`, policy.SyntaxError{Text: `1.2.3.4:allow,=`, Reason: `variable "": no value after the =`}},
		{"one quote", `1.2.3.4:allow,A="`, policy.SyntaxError{Text: `1.2.3.4:allow,A="`, Reason: `variable "A": the delimiter '"' does not come again`}},
		{"an open quote", `1.2.3.4:allow,A="x`, policy.SyntaxError{Text: `1.2.3.4:allow,A="x`, Reason: `variable "A": the delimiter '"' does not come again`}},
		{"no quotes", `1.2.3.4:allow,A=xyz`, policy.SyntaxError{Text: `1.2.3.4:allow,A=xyz`, Reason: `variable "A": the delimiter 'x' does not come again`}},
		{"a blank as the last quote", `1.2.3.4:allow,A= x `, policy.SyntaxError{Text: `1.2.3.4:allow,A= x`, Reason: `variable "A": the delimiter ' ' does not come again`}},
		{"a host name without its =", "mail-1.example.org:allow", policy.SyntaxError{Text: "mail-1.example.org:allow", Reason: `range: "mail" is not a number`}},
		{"a range that ends in a word", "1.2.3.4-x:deny", policy.SyntaxError{Text: "1.2.3.4-x:deny", Reason: `range: "x" is not a number`}},
		{"a range with blanks", "1.2.3.4 - 6:deny", policy.SyntaxError{Text: "1.2.3.4 - 6:deny", Reason: `range: "4 " is not a number`}},
		{"a range after a blank", " 1-2:deny", policy.SyntaxError{Text: " 1-2:deny", Reason: `range: " 1" is not a number`}},
		{"two ranges in one number", "1.2.3.4-5-6:deny", policy.SyntaxError{Text: "1.2.3.4-5-6:deny", Reason: `range: "5-6" is not a number`}},
		{"a negative number", "1.2.3.--5:deny", policy.SyntaxError{Text: "1.2.3.--5:deny", Reason: `range: "-5" is not a number`}},
		{"blanks at the end are not shown", "1.2.3.4: \t ", policy.SyntaxError{Text: "1.2.3.4:", Reason: verdict}},
	})
}

// areRefused makes sure that each line is an error, wherever in a text.
func areRefused(t *testing.T, tests []refused) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			texts := map[string]int{
				tt.line:                            1,
				tt.line + "\n":                     1,
				tt.line + "\n:allow\n":             1,
				tt.line + "\nworse:\n":             1,
				":allow\n" + tt.line + "\n":        2,
				"# one\n\nno rule\n" + tt.line:     4,
				"\n\n\n\n:deny\n" + tt.line + "\n": 6,
			}
			for text, line := range texts {
				rules, err := policy.Parse(strings.NewReader(text))
				if rules != nil {
					t.Errorf("Parse(%q) returned rules beside the error", text)
				}
				var got *policy.SyntaxError
				if !errors.As(err, &got) {
					t.Fatalf("Parse(%q) = %v, want a *SyntaxError", text, err)
				}
				want := tt.want
				want.Line = line
				if diff := cmp.Diff(&want, got); diff != "" {
					t.Errorf("Parse(%q) (-want +got)\n%s", text, diff)
				}
			}
		})
	}
}

func TestASyntaxErrorIsOneLine(t *testing.T) {
	_, err := policy.Parse(strings.NewReader(":allow\n1.2.3.4:allow\r\n"))
	want := `line 2: variable: a comma must stand before "\r": "1.2.3.4:allow\r"`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
}

func TestAnUnreadableTextIsNoRules(t *testing.T) {
	broken := errors.New("input/output error")
	tests := []struct {
		name string
		read io.Reader
		want string
	}{
		{"at once", iotest.ErrReader(broken), "line 1: input/output error"},
		{"after two lines", io.MultiReader(strings.NewReader(":allow\n:deny\n"), iotest.ErrReader(broken)), "line 3: input/output error"},
		{"in a line", io.MultiReader(strings.NewReader(":allow\n:de"), iotest.ErrReader(broken)), "line 2: input/output error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules, err := policy.Parse(tt.read)
			if rules != nil || !errors.Is(err, broken) || err.Error() != tt.want {
				t.Errorf("Parse = %v, %v, want nil and %q", rules, err, tt.want)
			}
		})
	}
}

func TestATextMayComeInPieces(t *testing.T) {
	const text = "127.:allow,RELAYCLIENT=\"\"\n# all others\n:deny"
	want := parse(t, text).Rules()
	for name, r := range map[string]io.Reader{
		"byte by byte":     iotest.OneByteReader(strings.NewReader(text)),
		"the end with it":  iotest.DataErrReader(strings.NewReader(text)),
		"in halves of it":  iotest.HalfReader(strings.NewReader(text)),
		"each line itself": io.MultiReader(strings.NewReader(text[:26]), strings.NewReader(text[26:])),
	} {
		got, err := policy.Parse(r)
		check(t, err)
		if diff := cmp.Diff(want, got.Rules()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
