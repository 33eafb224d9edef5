import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Collection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** java Accepts.java [CA-FILE ADDRESS PORT]...: shake hands with each; say whom Java refuses. */
class Accepts {
    public static void main(String[] words) throws Exception {
        boolean allAccepted = true;
        for (int at = 0; at < words.length; at += 3) {
            try {
                shakeHands(words[at], words[at + 1], Integer.parseInt(words[at + 2]));
            } catch (Exception error) {
                allAccepted = false;
                System.out.println(words[at] + " " + words[at + 1] + " " + words[at + 2] + " " + error);
            }
        }
        System.exit(allAccepted ? 0 : 1);
    }

    static void shakeHands(String file, String address, int port) throws Exception {
        try (SSLSocket socket = (SSLSocket) trusting(file).getSocketFactory().createSocket(address, port)) {
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            socket.setSoTimeout(10_000);
            socket.startHandshake();
        }
    }

    static SSLContext trusting(String file) throws Exception {
        KeyStore anchors = KeyStore.getInstance(KeyStore.getDefaultType());
        anchors.load(null, null);
        try (FileInputStream stream = new FileInputStream(file)) {
            Collection<? extends Certificate> found =
                CertificateFactory.getInstance("X.509").generateCertificates(stream);
            int number = 0;
            for (Certificate certificate : found) {
                anchors.setCertificateEntry("ca" + number++, certificate);
            }
        }
        TrustManagerFactory factory =
            TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(anchors);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, factory.getTrustManagers(), null);
        return context;
    }
}
