// A TLS client of Java's own JSSE: HOST PORT NAME VERSION.
import java.net.Socket;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.net.ssl.*;

public class Client {
    public static void main(String[] arguments) throws Exception {
        TrustManager[] all = {new X509TrustManager() {
            public void checkClientTrusted(X509Certificate[] chain, String kind) {}
            public void checkServerTrusted(X509Certificate[] chain, String kind) {}
            public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        }};
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, all, null);
        Socket plain = new Socket(arguments[0], Integer.parseInt(arguments[1]));
        SSLSocket client = (SSLSocket) context.getSocketFactory().createSocket(plain, arguments[2], 443, true);
        client.setEnabledProtocols(new String[] {"TLSv" + arguments[3]});
        SSLParameters parameters = client.getSSLParameters();
        parameters.setServerNames(List.of(new SNIHostName(arguments[2])));
        client.setSSLParameters(parameters);
        client.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes());
        if (client.getInputStream().read() < 0) {
            System.exit(1);
        }
        client.close();
    }
}
