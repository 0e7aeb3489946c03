// The Go client mixpanel-go against a server: `client URL send|refused`.
//
// `send` makes every call of the client that sends data. `refused` succeeds only if each of them fails.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/mixpanel/mixpanel-go"
)

const (
	token = "tok_sdk"
	text  = "naïve 🌳 >>>???~~~"
)

type call struct {
	name string
	make func() error
}

func main() {
	host, mode := os.Args[1], os.Args[2]
	for _, each := range calls(host) {
		err := each.make()
		switch {
		case mode == "send" && err != nil:
			fail(fmt.Sprintf("%s: %v", each.name, err))
		case mode == "refused" && err == nil:
			fail(each.name + ": the client took it for a success")
		case mode == "refused":
			fmt.Println(each.name + ": " + err.Error())
		}
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}

func calls(host string) []call {
	ctx := context.Background()
	location := mixpanel.ProxyApiLocation(host)
	mp := mixpanel.NewApiClient(token, location)
	secret := mixpanel.NewApiClient(token, location, mixpanel.ApiSecret("s3cret"))
	account := mixpanel.NewApiClient(token, location, mixpanel.ServiceAccount(42, "svc", "sec"))
	return append(append(events(ctx, mp), profiles(ctx, mp)...), imports(ctx, mp, secret, account)...)
}

func events(ctx context.Context, mp *mixpanel.ApiClient) []call {
	viewed := func(from, to int) []*mixpanel.Event {
		var list []*mixpanel.Event
		for n := from; n < to; n++ {
			list = append(list, mp.NewEvent("Viewed 🌳", "u1", map[string]any{"n": n, "text": text}))
		}
		return list
	}
	located := mp.NewEvent("Located", "u1", nil)
	located.AddIP(net.ParseIP("136.24.0.114"))
	located.AddTime(time.UnixMilli(1706933106789))
	located.AddInsertID("go-1")
	return []call{
		{"Track one", func() error { return mp.Track(ctx, viewed(0, 1)) }},
		{"Track many", func() error { return mp.Track(ctx, viewed(1, 130)) }},
		{"Track with ip, time and insert id", func() error { return mp.Track(ctx, []*mixpanel.Event{located}) }},
		{"Alias", func() error { return mp.Alias(ctx, "helene", "u1") }},
	}
}

func profiles(ctx context.Context, mp *mixpanel.ApiClient) []call {
	one := func(properties map[string]any) []*mixpanel.PeopleProperties {
		return []*mixpanel.PeopleProperties{mixpanel.NewPeopleProperties("u1", properties)}
	}
	return []call{
		{"PeopleSet", func() error { return mp.PeopleSet(ctx, one(map[string]any{"plan": "pro 🌳"})) }},
		{"PeopleSetOnce", func() error { return mp.PeopleSetOnce(ctx, one(map[string]any{"first": 1})) }},
		{"PeopleIncrement", func() error { return mp.PeopleIncrement(ctx, "u1", map[string]int{"visits": 2}) }},
		{"PeopleUnion", func() error {
			return mp.PeopleUnionProperty(ctx, "u1", map[string]any{"tags": []string{"a", "b"}})
		}},
		{"PeopleAppend", func() error {
			return mp.PeopleAppendListProperty(ctx, "u1", map[string]any{"pages": "home"})
		}},
		{"PeopleRemove", func() error {
			return mp.PeopleRemoveListProperty(ctx, "u1", map[string]any{"tags": "a"})
		}},
		{"PeopleUnset", func() error { return mp.PeopleDeleteProperty(ctx, "u1", []string{"old"}) }},
		{"PeopleDelete", func() error { return mp.PeopleDeleteProfile(ctx, "u1", true) }},
		{"GroupSet", func() error { return mp.GroupSet(ctx, "company", "acme", map[string]any{"seats": 12}) }},
		{"GroupSetOnce", func() error {
			return mp.GroupSetOnce(ctx, "company", "acme", map[string]any{"since": 2026})
		}},
		{"GroupUnion", func() error {
			return mp.GroupUnionListProperty(ctx, "company", "acme", map[string]any{"products": []string{"anvil"}})
		}},
		{"GroupRemove", func() error {
			return mp.GroupRemoveListProperty(ctx, "company", "acme", map[string]any{"products": "anvil"})
		}},
		{"GroupUnset", func() error { return mp.GroupDeleteProperty(ctx, "company", "acme", []string{"old"}) }},
		{"GroupDelete", func() error { return mp.GroupDelete(ctx, "company", "acme") }},
	}
}

func imports(ctx context.Context, mp, secret, account *mixpanel.ApiClient) []call {
	imported := func(client *mixpanel.ApiClient, by string, options mixpanel.ImportOptions) func() error {
		return func() error {
			var list []*mixpanel.Event
			for m := 0; m < 3; m++ {
				event := client.NewEvent("Imported", "u1", map[string]any{"by": by, "m": m})
				event.AddTime(time.UnixMilli(1706933106789))
				event.AddInsertID(fmt.Sprintf("go-%s-%d", by, m))
				list = append(list, event)
			}
			success, err := client.Import(ctx, list, options)
			if err == nil && options.Strict && success.NumRecordsImported != len(list) {
				return fmt.Errorf("%d records imported", success.NumRecordsImported)
			}
			return err
		}
	}
	plain := mixpanel.ImportOptions{Strict: false, Compression: mixpanel.None}
	return []call{
		{"Import, strict, gzip", imported(mp, "token", mixpanel.ImportOptionsRecommend)},
		{"Import, not strict", imported(secret, "secret", plain)},
		{"Import, service account", imported(account, "account", mixpanel.ImportOptionsRecommend)},
		{"Merge", func() error { return secret.Merge(ctx, "u1", "u2") }},
	}
}
