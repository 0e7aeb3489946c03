import com.mixpanel.mixpanelapi.ClientDelivery;
import com.mixpanel.mixpanelapi.DeliveryOptions;
import com.mixpanel.mixpanelapi.MessageBuilder;
import com.mixpanel.mixpanelapi.MixpanelAPI;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * The client mixpanel-java against a server: {@code Client URL send|refused}.
 *
 * <p>{@code send} delivers events, profiles, groups and imports, plain and compressed. {@code refused} succeeds only if
 * each delivery throws.
 */
public final class Client {
  private static final String TOKEN = "tok_sdk";
  private static final String TEXT = "naïve 🌳 >>>???~~~";
  private static final long IMPORT_TIME_MS = 1706933106789L;

  private interface Call {
    void make() throws Exception;
  }

  public static void main(String[] args) throws Exception {
    String host = args[0];
    boolean refused = args[1].equals("refused");
    MessageBuilder messages = new MessageBuilder(TOKEN);
    MixpanelAPI plain = api(host, false);
    MixpanelAPI gzip = api(host, true);
    List<Call> calls =
        List.of(
            () -> plain.sendMessage(viewed(messages, 0)),
            () -> plain.deliver(events(messages, 1, 70)),
            () -> gzip.deliver(events(messages, 70, 130), true),
            () -> plain.deliver(profiles(messages)),
            () -> gzip.deliver(groups(messages)),
            () -> plain.deliver(imports(messages, "strict")),
            () -> gzip.deliver(imports(messages, "gzip")),
            () -> plain.deliver(imports(messages, "lenient"), lenient()));
    for (Call call : calls) {
      if (refused) mustFail(call);
      else call.make();
    }
    plain.close();
    gzip.close();
  }

  private static MixpanelAPI api(String host, boolean gzip) {
    return new MixpanelAPI(host + "/track", host + "/engage", host + "/groups", host + "/import", gzip);
  }

  private static DeliveryOptions lenient() {
    return new DeliveryOptions.Builder().importStrictMode(false).build();
  }

  private static void mustFail(Call call) {
    try {
      call.make();
    } catch (Exception error) {
      System.out.println(error);
      return;
    }
    throw new IllegalStateException("the client took it for a success");
  }

  private static JSONObject viewed(MessageBuilder messages, int n) {
    return messages.event("u1", "Viewed 🌳", new JSONObject().put("n", n).put("text", TEXT));
  }

  private static ClientDelivery events(MessageBuilder messages, int from, int to) {
    ClientDelivery delivery = new ClientDelivery();
    for (int n = from; n < to; n++) delivery.addMessage(viewed(messages, n));
    return delivery;
  }

  private static ClientDelivery profiles(MessageBuilder messages) {
    ClientDelivery delivery = new ClientDelivery();
    delivery.addMessage(messages.set("u1", new JSONObject().put("plan", "pro 🌳")));
    delivery.addMessage(messages.setOnce("u1", new JSONObject().put("first", 1)));
    delivery.addMessage(messages.increment("u1", Map.of("visits", 2L)));
    delivery.addMessage(messages.append("u1", new JSONObject().put("pages", "home")));
    delivery.addMessage(messages.union("u1", Map.of("tags", new JSONArray(List.of("a", "b")))));
    delivery.addMessage(messages.remove("u1", new JSONObject().put("tags", "a")));
    delivery.addMessage(messages.unset("u1", List.of("old")));
    delivery.addMessage(messages.trackCharge("u1", 29.99, null));
    delivery.addMessage(messages.delete("u1", new JSONObject().put("$ignore_alias", true)));
    return delivery;
  }

  private static ClientDelivery groups(MessageBuilder messages) {
    ClientDelivery delivery = new ClientDelivery();
    delivery.addMessage(messages.groupSet("company", "acme", new JSONObject().put("seats", 12)));
    delivery.addMessage(messages.groupSetOnce("company", "acme", new JSONObject().put("since", 2026)));
    delivery.addMessage(messages.groupUnion("company", "acme", Map.of("products", new JSONArray(List.of("anvil")))));
    delivery.addMessage(messages.groupRemove("company", "acme", new JSONObject().put("products", "anvil")));
    delivery.addMessage(messages.groupUnset("company", "acme", List.of("old")));
    delivery.addMessage(messages.groupDelete("company", "acme"));
    return delivery;
  }

  private static ClientDelivery imports(MessageBuilder messages, String by) {
    ClientDelivery delivery = new ClientDelivery();
    for (int m = 0; m < 3; m++) {
      JSONObject properties = new JSONObject().put("time", IMPORT_TIME_MS).put("by", by).put("m", m);
      delivery.addMessage(messages.importEvent("u1", "Imported", properties));
    }
    return delivery;
  }
}
